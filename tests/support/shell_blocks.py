"""Runs the shell blocks of a Markdown page and checks what they print."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_BLOCKS = re.compile(r"^```(sh|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class ShellBlock:
    """Commands of one block and the lines that the page promises they print."""

    commands: str
    expected: tuple[str, ...]


def shell_blocks(page: Path) -> list[ShellBlock]:
    """Every `sh` block of the page, each with the `text` block that follows it, if one does."""
    blocks: list[ShellBlock] = []
    for kind, body in _BLOCKS.findall(page.read_text(encoding="utf-8")):
        if kind == "sh":
            blocks.append(ShellBlock(body, ()))
        elif blocks:
            lines = tuple(line.strip() for line in body.splitlines() if line.strip())
            blocks[-1] = ShellBlock(blocks[-1].commands, lines)
    return blocks


def quick_oriel_in(folder: Path) -> Path:
    """Makes an `oriel` that trains little in a folder, which is returned to be put on the path."""
    command = folder / "oriel"
    called = f'exec {sys.executable} -m tests.support.quick_oriel "$@"'
    command.write_text(f"#!/bin/sh\nPYTHONPATH={_ROOT} {called}\n", encoding="utf-8")
    command.chmod(0o755)
    return folder


def run_block(block: ShellBlock, folder: Path, path: Path) -> str:
    """Runs the commands in folder with the programs of `path` first; returns what they printed.

    Raises:
        AssertionError: a command failed.
    """
    environment = os.environ | {
        "PATH": f"{path}:{os.environ['PATH']}",
        "COLUMNS": "160",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.commands],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block.commands}\n{done.stdout}"
    return done.stdout


def missing_lines(block: ShellBlock, printed: str) -> list[str]:
    """Promised lines that were not printed; `…` in a promise stands for anything."""
    flat = re.sub(r"\s+", " ", printed)
    patterns = {
        line: ".*".join(re.escape(part) for part in re.sub(r"\s+", " ", line).split("…"))
        for line in block.expected
    }
    return [line for line, pattern in patterns.items() if not re.search(pattern, flat)]
