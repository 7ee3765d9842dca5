"""Which workspace a command works on."""

from dataclasses import dataclass
from pathlib import Path

from app.deployment import service_addresses
from shared.config.home import Home
from shared.errors import InvalidArgumentError

DEFAULT_HOME = Path(".oriel")


@dataclass(frozen=True)
class Place:
    """The workspace named on the command line, or the default."""

    path: Path | None
    """None when neither --home nor ORIEL_HOME named one."""

    @property
    def home(self) -> Home:
        """The folder of the workspace."""
        return self.home_or(DEFAULT_HOME)

    def home_or(self, default: Path) -> Home:
        """Return the folder of the workspace, or one that stands in where none was named.

        Raises:
            InvalidArgumentError: None was named, and services run in one that only they know.
        """
        if self.path is None and service_addresses():
            raise InvalidArgumentError(
                "ORIEL_INGESTION_ADDRESS and its like name services that run as processes, and "
                "nothing names the folder they share; set ORIEL_HOME, or give --home",
                reason="HOME_NOT_NAMED",
            )
        return Home((self.path or default).expanduser().absolute())
