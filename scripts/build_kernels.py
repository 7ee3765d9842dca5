"""Compile the kernels that training can use; `make kernels` runs it."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax

from services.training.kernels.library import BINDINGS, FOLDER, KERNELS, library_path

COMMON = ("-std=c++20", "-O3", "-fPIC", "-ffp-contract=fast", "-Wall", "-Wno-psabi")
VARIANTS = (
    ("-mavx512f", "-mfma", "-DORIEL_TARGET=avx512"),
    ("-mavx2", "-mfma", "-DORIEL_TARGET=avx2"),
)
"""Instruction sets, the processor's own picked as the library is loaded."""


def main() -> int:
    """Build unless it is there; 1 where a compiler was found and failed."""
    target = library_path()
    compiler = _compiler()
    if target.exists():
        print(f"kernels: built before, {target}")
    elif platform.machine() not in ("x86_64", "AMD64"):
        print(f"kernels: written for x86-64, this is {platform.machine()}; training uses JAX alone")
    elif compiler is None:
        print("kernels: no C++ compiler found (set CXX to name one); training uses JAX alone")
    else:
        errors = build(compiler, target)
        if errors:
            print(f"kernels: {compiler} failed; training uses JAX alone\n{errors}", file=sys.stderr)
            return 1
        print(f"kernels: built, {target}")
    return 0


def build(compiler: str, target: Path) -> str:
    """Compile and link in a folder of its own, then move the library to its place at once.

    Returns:
        What the compiler said when it failed, else "".
    """
    include = ("-isystem", jax.ffi.include_dir())
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        compiled = [
            *((name, flags) for name in KERNELS for flags in VARIANTS),
            *((name, include) for name in BINDINGS),
        ]
        objects = [f"{folder}/{number}.o" for number in range(len(compiled))]
        commands = [
            (compiler, *COMMON, *flags, "-c", str(FOLDER / name), "-o", made)
            for (name, flags), made in zip(compiled, objects, strict=True)
        ]
        linked = f"{folder}/linked.so"
        errors = _run_together(commands) or _run_together(
            [(compiler, "-shared", *objects, "-o", linked)]
        )
        if not errors:
            Path(linked).replace(target)
    return errors


def _compiler() -> str | None:
    named = os.environ.get("CXX")
    return next(
        filter(None, map(shutil.which, [named] if named else ["c++", "g++", "clang++"])), None
    )


def _run_together(commands: Sequence[Sequence[str]]) -> str:
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    said = [(process.communicate()[1], process.returncode) for process in running]
    return "\n".join(errors or f"exit code {code}" for errors, code in said if code)


if __name__ == "__main__":
    sys.exit(main())
