"""Runs one benchmark: `python -m benchmarks NAME`, or `make bench NAME=...`."""

import importlib
import sys
from pathlib import Path

_PARTS = {"__init__", "__main__", "machine", "synthetic", "peer"}


def main() -> int:
    """Run the benchmark that the command line names; list them when it names none."""
    folder = Path(__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem not in _PARTS)
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print(f"usage: python -m benchmarks NAME, where NAME is one of: {', '.join(names)}")
        return 2
    return int(importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
