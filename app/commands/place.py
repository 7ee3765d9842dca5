"""Which workspace a command works on."""

from dataclasses import dataclass
from pathlib import Path

from shared.config.home import Home

DEFAULT_HOME = Path(".oriel")


@dataclass(frozen=True)
class Place:
    """The workspace named on the command line, or the default."""

    path: Path | None
    """None when neither --home nor ORIEL_HOME named one."""

    @property
    def home(self) -> Home:
        """The folder of the workspace."""
        return Home((self.path or DEFAULT_HOME).expanduser().absolute())
