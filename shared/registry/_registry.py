"""The registry: a folder of models, each with numbered versions and one file of aliases."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from shared.errors import (
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from shared.registry import _disk
from shared.registry._names import Reference, check_file, check_model, parse
from shared.registry._version import MANIFEST, ModelVersion, decode_manifest, encode_manifest

_ALIASES = "aliases.json"
_DEFAULT_ALIAS = "champion"


class ModelRegistry:
    """Publishes and finds model versions under one folder.

    Layout: `models/<model>/versions/<n>/` holds the files and `manifest.json`;
    `models/<model>/aliases.json` maps alias to number. Readers need no lock: a version appears
    whole, and aliases are replaced in one step.
    """

    def __init__(self, root: str | Path) -> None:
        if "://" in str(root):
            raise InvalidArgumentError(
                f"The registry {root} is not a folder on this machine; name a local path.",
                reason="REGISTRY_ROOT_NOT_LOCAL",
                root=root,
            )
        self._models = Path(root).absolute() / "models"

    def publish(
        self, model: str, files: Mapping[str, bytes], manifest: Mapping[str, Any]
    ) -> ModelVersion:
        """Store a version and return it; equal content returns the version that has it already.

        Format version, model name and the SHA-256 of each file are added to the manifest.
        """
        check_model(model)
        for file in files:
            check_file(file, MANIFEST)
        content, digest = encode_manifest(model, files, manifest)
        folder = self._models / model / "versions"
        folder.mkdir(parents=True, exist_ok=True)
        with self._lock(model):
            numbers = self._numbers(model)
            for number in numbers:
                if self._holds(model, number, digest):
                    return self._version(model, number)
            number = max(numbers, default=0) + 1
            _disk.write_folder(folder / str(number), {**files, MANIFEST: content})
        return self._version(model, number)

    def resolve(self, name: str) -> str:
        """Return the name of the version that a name points at now; reads no manifest.

        Raises:
            NotFoundError: Nothing is published under the name.
        """
        reference = parse(name)
        number = self._find(reference)
        if number is None:
            raise self._not_found(name, reference)
        return _version_name(reference.model, number)

    def get(self, name: str) -> ModelVersion:
        """Return the version a name points at; a bare model means its champion, else its latest.

        Raises:
            NotFoundError: Nothing is published under the name.
            FailedPreconditionError: The manifest is damaged or of another format.
        """
        reference = parse(self.resolve(name))
        assert reference.number is not None
        return self._version(reference.model, reference.number)

    def list(self, model: str) -> list[ModelVersion]:
        """Return every version of a model, newest first; `models/m` and `m` both name it."""
        model = model.removeprefix("models/")
        check_model(model)
        return [self._version(model, number) for number in reversed(self._numbers(model))]

    def models(self) -> tuple[str, ...]:
        """Return the names of all models with at least one version, sorted."""
        if not self._models.is_dir():
            return ()
        return tuple(
            sorted(path.name for path in self._models.iterdir() if self._numbers(path.name))
        )

    def set_alias(self, alias_name: str, version_name: str) -> ModelVersion:
        """Point an alias at a version and return the version.

        Raises:
            InvalidArgumentError: The first name is no alias, or the two are of different models.
            NotFoundError: The version is not published.
        """
        alias, target = parse(alias_name), parse(self.resolve(version_name))
        if alias.alias is None or alias.model != target.model or target.number is None:
            raise InvalidArgumentError(
                f"{alias_name} cannot point at {version_name}: name an alias as "
                f"models/{target.model}/aliases/ALIAS of the same model.",
                reason="MODEL_ALIAS_MALFORMED",
                alias=alias_name,
                version=version_name,
            )
        self._version(target.model, target.number)  # an alias never points at a damaged version
        with self._lock(alias.model):
            aliases = dict(self._aliases(alias.model)) | {alias.alias: target.number}
            content = {"format_version": 1, "aliases": aliases}
            _disk.write_file(
                self._models / alias.model / _ALIASES,
                json.dumps(content, sort_keys=True, indent=2).encode(),
            )
        return self._version(target.model, target.number)

    def _lock(self, model: str) -> FileLock:
        return FileLock(self._models / model / ".lock")

    def _find(self, reference: Reference) -> int | None:
        if reference.number is not None:
            return reference.number if reference.number in self._numbers(reference.model) else None
        aliases = self._aliases(reference.model)
        if reference.alias is not None:
            return aliases.get(reference.alias)
        if _DEFAULT_ALIAS in aliases:
            return aliases[_DEFAULT_ALIAS]
        return max(self._numbers(reference.model), default=None)

    def _numbers(self, model: str) -> tuple[int, ...]:
        folder = self._models / model / "versions"
        if not folder.is_dir():
            return ()
        return tuple(sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal()))

    def _aliases(self, model: str) -> Mapping[str, int]:
        path = self._models / model / _ALIASES
        try:
            content = json.loads(path.read_bytes())
            return {str(alias): int(number) for alias, number in content["aliases"].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FailedPreconditionError(
                f"{_ALIASES} of models/{model} is damaged. Delete {path} and set aliases again.",
                reason="MODEL_FILE_CORRUPT",
                model=model,
                file=_ALIASES,
                path=path,
            ) from None

    def _holds(self, model: str, number: int, digest: str) -> bool:
        """Whether a version has this content, undamaged; a damaged one never stops a new one."""
        try:
            version = self._version(model, number)
            if version.digest != digest:
                return False
            for file in version.manifest["files"]:
                version.read(file)
        except DomainError:
            return False
        return True

    def _version(self, model: str, number: int) -> ModelVersion:
        name = _version_name(model, number)
        folder = self._models / model / "versions" / str(number)
        try:
            content = (folder / MANIFEST).read_bytes()
        except FileNotFoundError:
            content = b""
        aliases = (alias for alias, target in self._aliases(model).items() if target == number)
        return ModelVersion(
            name=name,
            model=model,
            number=number,
            manifest=decode_manifest(content, name),
            aliases=tuple(sorted(aliases)),
            uri=str(folder),
        )

    def _not_found(self, name: str, reference: Reference) -> NotFoundError:
        numbers = self._numbers(reference.model)
        if numbers:
            hint = f"models/{reference.model} has versions 1 to {numbers[-1]}"
            if names := sorted(self._aliases(reference.model)):
                hint += f" and the aliases {', '.join(names)}"
        else:
            known = ", ".join(f"models/{model}" for model in self.models())
            hint = (
                f"published are {known}" if known else "no model is published yet; train one first"
            )
        return NotFoundError(
            f"{name} does not exist; {hint}.",
            reason="MODEL_VERSION_NOT_FOUND",
            name=name,
            hint=hint,
        )


def _version_name(model: str, number: int) -> str:
    return f"models/{model}/versions/{number}"
