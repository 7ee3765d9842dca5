"""Asks a server for its health: `python -m shared.rpc HOST:PORT` exits 0 where it is ready."""

import sys

from shared.errors import DomainError
from shared.rpc import require_serving


def main(arguments: list[str]) -> int:
    """Return 0 if the server at the address is ready, 1 if not, 2 for wrong arguments."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m shared.rpc HOST:PORT\n")
        return 2
    try:
        require_serving(arguments[0])
    except DomainError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
