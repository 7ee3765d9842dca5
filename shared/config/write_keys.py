"""The keys that let senders in over HTTP: what they are for, and hashes of them."""

import hashlib
import os
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError

_SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELDS = ("source", "sha256", "created")
_KEY_BYTES = 16
_ID_LENGTH = 8


@dataclass(frozen=True)
class WriteKey:
    """What is kept of a key; the key itself is shown once, when it is made."""

    source: str
    """Name of whoever sends with it, part of the identity of events without a message id."""
    sha256: str
    """Hash of the key; keys are random, so that a plain hash of one cannot be turned back."""
    created: date

    @property
    def id(self) -> str:
        """What people call it by."""
        return self.sha256[:_ID_LENGTH]


class WriteKeys:
    """The keys in a file; another process may change it at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_at: tuple[int, ...] = ()
        self._sources: Mapping[str, str] = {}

    def all(self) -> tuple[WriteKey, ...]:
        """Return all keys in the order they were made.

        Raises:
            FailedPreconditionError: The file is damaged.
        """
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        return _parse(text, self._path)

    def add(self, source: str) -> str:
        """Make a key for a source and return it; it is kept nowhere else.

        Raises:
            InvalidArgumentError: The source has no proper name.
        """
        if not _SOURCE.fullmatch(source):
            raise InvalidArgumentError(
                f"{source!r} is no name of a source; start with a letter and use lower case "
                "letters, digits, - and _, at most 63",
                reason="BAD_SOURCE_NAME",
                source=source,
            )
        key = secrets.token_hex(_KEY_BYTES)
        made = WriteKey(source, _hash(key), datetime.now(UTC).date())
        with self._changing():
            self._save((*self.all(), made))
        return key

    def revoke(self, key_id: str) -> WriteKey:
        """Take a key away, by its id; a server that runs refuses it at once.

        Raises:
            NotFoundError: There is no such key.
        """
        with self._changing():
            keys = self.all()
            gone = [key for key in keys if key.id == key_id]
            if not gone:
                raise NotFoundError(
                    f"no write key has the id {key_id!r}; oriel keys list shows them",
                    reason="WRITE_KEY_NOT_FOUND",
                    key_id=key_id,
                )
            self._save([key for key in keys if key not in gone])
        return gone[0]

    def source_of(self, key: str) -> str | None:
        """Return whose key this is; None when it is nobody's."""
        with self._lock:
            version = self._version()
            if version != self._read_at:
                self._sources = {each.sha256: each.source for each in self.all()}
                self._read_at = version
            return self._sources.get(_hash(key))

    def _version(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _changing(self) -> FileLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._path.with_name(f".{self._path.name}.lock"))

    def _save(self, keys: Sequence[WriteKey]) -> None:
        rows = [{"source": k.source, "sha256": k.sha256, "created": k.created} for k in keys]
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yaml.safe_dump(rows, stream, sort_keys=False)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self._path)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _parse(text: str, path: Path) -> tuple[WriteKey, ...]:
    try:
        rows = yaml.safe_load(text) or []
    except yaml.YAMLError as error:
        raise _damaged(path) from error
    if not isinstance(rows, list) or not all(map(_is_key, rows)):
        raise _damaged(path)
    return tuple(WriteKey(**row) for row in rows)


def _is_key(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and sorted(row) == sorted(_FIELDS)
        and isinstance(row["source"], str)
        and isinstance(row["sha256"], str)
        and _DIGEST.fullmatch(row["sha256"]) is not None
        and isinstance(row["created"], date)
    )


def _damaged(path: Path) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{path} does not hold write keys; mend it, or remove it and make new keys with "
        "`oriel keys add`",
        reason="BAD_WRITE_KEYS",
        path=path,
    )
