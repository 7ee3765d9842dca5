"""Result files appear whole: `summary.json` is the last, so where it is the others are too."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUMMARY = "summary.json"
_STAGING = ".partial"


def staging(out: Path) -> Path:
    """Return an empty folder beside the results, to write them in."""
    folder = out / _STAGING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def publish(out: Path, folder: Path, summary: Mapping[str, Any]) -> list[Path]:
    """Move every staged file to its place, the summary last; return the places.

    Files of an earlier run are replaced one by one, so its summary goes first.
    """
    text = json.dumps(summary, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (out / SUMMARY).unlink(missing_ok=True)
    places = []
    for file in sorted(folder.iterdir()):
        places.append(out / file.name)
        file.replace(places[-1])
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    places.append((folder / SUMMARY).replace(out / SUMMARY))
    folder.rmdir()
    return places
