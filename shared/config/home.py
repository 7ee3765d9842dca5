"""One workspace on one machine: where its files lie and how it is set up."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import yaml

from shared.errors import FailedPreconditionError, InvalidArgumentError

DEMO_PSEUDONYM_KEY = b"oriel-demo-key-not-for-real-data"
"""Key of the workspaces that `oriel run` makes for itself, so that equal runs give equal bytes.

It is public: whoever has it can test whether a known id is behind a pseudonym. `oriel init` draws
a random key instead.
"""

_LEAST_KEY_BYTES = 16


@dataclass(frozen=True)
class Home:
    """The folder of one workspace."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """The workspace's settings, as YAML."""
        return self.path / "workspace.yaml"

    @property
    def write_keys_file(self) -> Path:
        """Keys of those who send over HTTP, hashed, as YAML."""
        return self.path / "write_keys.yaml"

    @property
    def warehouse_path(self) -> Path:
        """Folder of the embedded warehouse."""
        return self.path / "warehouse"

    @property
    def vault_path(self) -> Path:
        """Source ids behind the pseudonyms."""
        return self.path / "vault.sqlite"

    @property
    def datasets_path(self) -> Path:
        """Folder of dataset folders."""
        return self.path / "datasets"

    @property
    def runs_path(self) -> Path:
        """Folder of training run folders."""
        return self.path / "runs"

    @property
    def registry_path(self) -> Path:
        """Root of the model registry."""
        return self.path / "registry"

    @property
    def exports_path(self) -> Path:
        """Folder of batch prediction files."""
        return self.path / "exports"

    @property
    def cache_path(self) -> Path:
        """Folder of what can be computed again, such as compiled programs."""
        return self.path / "cache"

    @property
    def lock_path(self) -> Path:
        """Lock file; says who holds the folder and where it serves."""
        return self.path / "oriel.lock"

    @property
    def logs_path(self) -> Path:
        """Folder of log files."""
        return self.path / "logs"

    def jobs_path(self, service: str) -> Path:
        """Folder of the long work of a service."""
        return self.path / "jobs" / service


@dataclass(frozen=True, kw_only=True)
class WorkspaceSettings:
    """What `oriel init` decides once for a workspace."""

    pseudonym_key: bytes
    """Secret key of all pseudonyms; at least 16 bytes."""
    currency: str = "USD"
    """ISO 4217 code of all money."""
    time_zone: str = "UTC"
    """IANA name of the zone whose midnights part days."""
    retention_days: int | None = None
    """Events older than this may be dropped; None keeps them."""

    def __post_init__(self) -> None:
        mistakes = list(_mistakes(self))
        if mistakes:
            raise InvalidArgumentError("; ".join(mistakes), reason="BAD_WORKSPACE_SETTINGS")

    @classmethod
    def load(cls, path: Path) -> "WorkspaceSettings":
        """Read settings from a file.

        Raises:
            FailedPreconditionError: There is no such file.
            InvalidArgumentError: The file has an unknown key or a wrong value.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise FailedPreconditionError(
                f"{path.parent} is not an Oriel workspace yet; make it one with `oriel init`",
                reason="WORKSPACE_NOT_INITIALISED",
                path=path.parent,
            ) from error
        return parse_settings(text, str(path))

    def save(self, path: Path) -> None:
        """Write the settings so that only the owner can read them; never leaves half a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        values: dict[str, Any] = {
            "currency": self.currency,
            "time_zone": self.time_zone,
            "pseudonym_key": self.pseudonym_key.hex(),
            "retention_days": self.retention_days,
        }
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yaml.safe_dump(values, stream, sort_keys=False)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)


def parse_settings(text: str, origin: str) -> WorkspaceSettings:
    """Turn the text of a settings file into settings, strictly.

    Args:
        text: YAML.
        origin: Where the text came from, for messages.

    Raises:
        InvalidArgumentError: A key is unknown, missing or has a wrong value.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _refused(origin, f"it is not YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise _refused(origin, "it must be a YAML mapping of setting to value")
    known = [field.name for field in fields(WorkspaceSettings)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise _refused(origin, f"unknown key {key!r}; did you mean {near!r}?")
    if "pseudonym_key" not in values:
        raise _refused(origin, "pseudonym_key is missing")
    try:
        key_bytes = bytes.fromhex(str(values["pseudonym_key"]))
    except ValueError as error:
        raise _refused(origin, "pseudonym_key must be hexadecimal") from error
    return WorkspaceSettings(**{**values, "pseudonym_key": key_bytes})


def _refused(origin: str, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{origin}: {what}", reason="BAD_WORKSPACE_SETTINGS", path=origin)


def _mistakes(settings: WorkspaceSettings) -> list[str]:
    mistakes = []
    if len(settings.pseudonym_key) < _LEAST_KEY_BYTES:
        mistakes.append(f"pseudonym_key needs at least {_LEAST_KEY_BYTES} bytes")
    if not re.fullmatch(r"[A-Z]{3}", str(settings.currency)):
        mistakes.append(f"currency {settings.currency!r} is not an ISO 4217 code such as USD")
    if settings.time_zone not in available_timezones():
        mistakes.append(
            f"time_zone {settings.time_zone!r} is not an IANA name such as Europe/London"
        )
    days = settings.retention_days
    if days is not None and (isinstance(days, bool) or not isinstance(days, int) or days < 1):
        mistakes.append(f"retention_days {days!r} must be a whole number of days, or left out")
    return mistakes
