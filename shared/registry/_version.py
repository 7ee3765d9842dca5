"""One published version: its manifest, and its files checked on every read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError

FORMAT_VERSION = 1
"""Format written today; readers also keep the one before it, once there is one."""

OLDEST_READABLE = max(1, FORMAT_VERSION - 1)
MANIFEST = "manifest.json"
_DIGEST = "digest"


@dataclass(frozen=True)
class ModelVersion:
    """An immutable model; `aliases` are those that pointed here when it was read."""

    name: str
    model: str
    number: int
    manifest: Mapping[str, Any]
    aliases: tuple[str, ...]
    uri: str

    @property
    def digest(self) -> str:
        """SHA-256 over manifest and files: equal content has an equal digest."""
        return str(self.manifest[_DIGEST])

    def read(self, file: str) -> bytes:
        """Return a file's bytes after checking them against the manifest.

        Raises:
            NotFoundError: The version has no such file.
            FailedPreconditionError: The file is missing or differs from what was published.
        """
        expected = self.manifest["files"].get(file)
        if expected is None:
            files = ", ".join(sorted(self.manifest["files"]))
            raise NotFoundError(
                f"{self.name} has no file {file}; it has {files}.",
                reason="MODEL_FILE_NOT_FOUND",
                version=self.name,
                file=file,
                files=files,
            )
        try:
            content = (Path(self.uri) / file).read_bytes()
        except FileNotFoundError:
            raise _corrupt(self.name, file, "is missing") from None
        if sha256(content) != expected:
            raise _corrupt(self.name, file, "is not what was published (its SHA-256 differs)")
        return content


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def encode_manifest(
    model: str, files: Mapping[str, bytes], manifest: Mapping[str, Any]
) -> tuple[bytes, str]:
    """Return the bytes of manifest.json and the digest within.

    Keys are sorted and nothing of the machine is added, so equal content gives equal bytes.
    """
    content = dict(manifest) | {
        "format_version": FORMAT_VERSION,
        "model": model,
        "files": {name: sha256(files[name]) for name in sorted(files)},
    }
    content.pop(_DIGEST, None)
    digest = sha256(_canonical(content))
    return _canonical(content | {_DIGEST: digest}, indent=2), digest


def decode_manifest(content: bytes, version_name: str) -> Mapping[str, Any]:
    """Read manifest.json strictly.

    Raises:
        FailedPreconditionError: It is damaged, or of a format this Oriel does not read.
    """
    try:
        manifest = json.loads(content)
    except ValueError:
        raise _corrupt(version_name, MANIFEST, "is not JSON") from None
    format_version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if not isinstance(format_version, int):
        raise _corrupt(version_name, MANIFEST, "names no format_version")
    if not OLDEST_READABLE <= format_version <= FORMAT_VERSION:
        raise FailedPreconditionError(
            f"{version_name} has format_version {format_version}; this Oriel reads "
            f"{OLDEST_READABLE} to {FORMAT_VERSION}. "
            + ("Update Oriel." if format_version > FORMAT_VERSION else "Train the model again."),
            reason="MODEL_FORMAT_UNSUPPORTED",
            version=version_name,
            format_version=format_version,
            oldest=OLDEST_READABLE,
            newest=FORMAT_VERSION,
        )
    rest = {key: value for key, value in manifest.items() if key != _DIGEST}
    if sha256(_canonical(rest)) != manifest.get(_DIGEST):
        raise _corrupt(version_name, MANIFEST, "is not what was published (its digest differs)")
    return dict(manifest)


def _canonical(value: Mapping[str, Any], indent: int | None = None) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"The manifest cannot be written as JSON: {error}. Use text, finite numbers, lists and "
            "mappings with text keys.",
            reason="MODEL_MANIFEST_NOT_JSON",
            error=error,
        ) from None
    return text.encode()


def _corrupt(version_name: str, file: str, what: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{file} of {version_name} {what}. Restore it from a copy, or train and publish again.",
        reason="MODEL_FILE_CORRUPT",
        version=version_name,
        file=file,
    )
