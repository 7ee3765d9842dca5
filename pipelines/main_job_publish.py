"""Result files appear whole: `summary.json` is the last, so where it is the others are too."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUMMARY = "summary.json"
FILES = "files_sha256"
"""Key of the summary under which files and their digests are."""

_STAGING = ".partial"


def staging(out: Path) -> Path:
    """Return an empty folder beside the results, to write them in."""
    folder = out / _STAGING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def publish(out: Path, folder: Path, summary: Mapping[str, Any]) -> list[Path]:
    """Move every staged file to its place, the summary last; return the places.

    Files of an earlier run are replaced one by one, so its summary goes first; those that this run
    does not have go with it.
    """
    text = json.dumps(summary, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    earlier = _files_of(out / SUMMARY)
    (out / SUMMARY).unlink(missing_ok=True)
    for name in earlier - {file.name for file in folder.iterdir()}:
        (out / name).unlink(missing_ok=True)
    places = []
    for file in sorted(folder.iterdir()):
        places.append(out / file.name)
        file.replace(places[-1])
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    places.append((folder / SUMMARY).replace(out / SUMMARY))
    folder.rmdir()
    return places


def _files_of(summary: Path) -> set[str]:
    """Names of the files that a summary lists, all of them beside it."""
    if not summary.exists():
        return set()
    said = json.loads(summary.read_text(encoding="utf-8"))
    return {Path(name).name for name in said.get(FILES, {})}
