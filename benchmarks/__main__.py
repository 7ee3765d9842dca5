"""Runs one benchmark: `python -m benchmarks NAME`, or `make bench NAME=...`."""

import importlib
import sys
from pathlib import Path

_PARTS = {"__init__", "__main__", "images", "machine", "network", "readme", "synthetic", "peer"}


def questions() -> list[str]:
    """Return the names of all benchmarks; `training_cases` is a part of `training`."""
    names = {path.stem for path in Path(__file__).parent.glob("*.py")} - _PARTS
    return sorted(
        name for name in names if not any(name.startswith(f"{other}_") for other in names)
    )


def main() -> int:
    """Run the benchmark that the command line names; list them when it names none."""
    names = questions()
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print(f"usage: python -m benchmarks NAME, where NAME is one of: {', '.join(names)}")
        return 2
    return importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:]) or 0


if __name__ == "__main__":
    sys.exit(main())
