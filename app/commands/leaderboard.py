"""The settings that a search tried, the best first, as a table."""

import csv
from pathlib import Path

from app import console

_FILE = "leaderboard.csv"
_MOST_ROWS = 10


def show_leaderboard(folder: Path) -> None:
    """Print the first places of the leaderboard of a run or a version; nothing where none lies."""
    file = folder / _FILE
    if not file.is_file():
        return
    with file.open(encoding="utf-8", newline="") as lines:
        columns, *rows = csv.reader(lines)
    console.table("", [name.replace("_", " ") for name in columns], rows[:_MOST_ROWS])
    console.facts([("leaderboard", f"{file}, {len(rows)} settings")])
