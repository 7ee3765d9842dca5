"""`make up-processes` with a training small enough for tests."""

import sys

from scripts.up_processes import MODULES, main

if __name__ == "__main__":
    sys.exit(main({**MODULES, "training": "tests.support.quick_training"}))
