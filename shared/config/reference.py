"""Writes docs/reference/environment.md: `python -m shared.config.reference`."""

import sys
from typing import Any

from shared.config.environment import Variable
from shared.config.variables import VARIABLES

_HEAD = """# Environment variables

Written by `python -m shared.config.reference` from the variables themselves; a test keeps it fresh.

Services that run [as processes of their own](../how-to/run-as-processes.md) take all they are told
from these variables, and the `oriel` command finds such services by their addresses. They are read
once, at the start. A variable that is missing, wrong or unknown ends a service with exit code 2
and a line for each mistake; a variable set to nothing counts as not set.

| variable | is | default | for example |
|---|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    return _HEAD + "".join(_row(variable) for variable in VARIABLES)


def _row(variable: Variable[Any]) -> str:
    default = f"`{variable.default}`" if variable.default else ""
    return f"| `{variable.name}` | {variable.meaning} | {default} | `{variable.example}` |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
