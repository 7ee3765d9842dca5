"""Models by name: a frozen config that knows how to build its layers."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from types import UnionType
from typing import Any, Protocol, TypeVar, get_args, get_type_hints

from services.training.models.layer import HeadSpec, InputSpec, LayerList
from shared.errors import InvalidArgumentError, NotFoundError


@dataclass(frozen=True)
class Example:
    """The smallest useful instance of a model, which the common suites train."""

    config: "ModelConfig"
    inputs: InputSpec


class ModelConfig(Protocol):
    """A frozen dataclass; its fields are the keys a prediction file may give."""

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Lay out the model for these inputs and heads."""
        ...

    @classmethod
    def example(cls) -> Example:
        """The smallest useful instance."""
        ...


Config = TypeVar("Config", bound=ModelConfig)
_MODELS: dict[str, type[ModelConfig]] = {}


def register(name: str) -> Callable[[type[Config]], type[Config]]:
    """Make a config class known under `name`; registering is all it takes to be tested."""

    def decorate(config: type[Config]) -> type[Config]:
        if name in _MODELS:
            raise ValueError(f"two models are called {name!r}")
        _MODELS[name] = config
        return config

    return decorate


def registered() -> Mapping[str, type[ModelConfig]]:
    """Every model known, by name in alphabetical order."""
    return dict(sorted(_MODELS.items()))


def parse_config(declaration: Mapping[str, Any]) -> ModelConfig:
    """The config that `{"type": name, key: value, …}` describes.

    Raises:
        NotFoundError: No model of that name.
        InvalidArgumentError: A key is unknown, or a value has the wrong type.
    """
    values = dict(declaration)
    name = values.pop("type", None)
    if not isinstance(name, str) or name not in _MODELS:
        raise NotFoundError(
            f"model type {name!r} is unknown; use {_nearest(str(name), _MODELS)}",
            reason="MODEL_TYPE_UNKNOWN",
            type=name,
        )
    return _strict(_MODELS[name], values, f"model {name!r}")


def reads_sequences(config: ModelConfig) -> bool:
    """Whether a model reads a row's steps; others read its numbers alone."""
    return any(field.name == "mask" for field in config.example().inputs.fields)


Parsed = TypeVar("Parsed")


def _strict(cls: type[Parsed], values: Mapping[str, Any], where: str) -> Parsed:
    hints = get_type_hints(cls)
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise InvalidArgumentError(
                f"{where} has no key {key!r}; did you mean {_nearest(key, known)}?",
                reason="MODEL_KEY_UNKNOWN",
                key=key,
            )
        if not _fits(value, hints[key]):
            raise InvalidArgumentError(
                f"{where}: {key} must be {_words(hints[key])}, not {value!r}",
                reason="MODEL_VALUE_INVALID",
                key=key,
                value=value,
            )
    missing = [
        key
        for key, field in known.items()
        if key not in values and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise InvalidArgumentError(
            f"{where} needs {', '.join(missing)}", reason="MODEL_KEY_MISSING", keys=missing
        )
    converted = {
        key: float(value) if hints[key] is float else tuple(value) if _is_list(value) else value
        for key, value in values.items()
    }
    return cls(**converted)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _fits(value: object, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and hint in (str, bool):
        return isinstance(value, hint)
    if isinstance(hint, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if hint is type(None):
        return value is None
    if getattr(hint, "__origin__", None) is tuple:
        return isinstance(value, list | tuple) and all(
            _fits(item, get_args(hint)[0]) for item in value
        )
    choices = get_args(hint)
    return value in choices


def _words(hint: Any) -> str:
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    if isinstance(hint, type) and hint in names:
        return names[hint]
    if getattr(hint, "__origin__", None) is tuple:
        return f"a list, each item {_words(get_args(hint)[0])}"
    return "one of " + ", ".join(str(choice) for choice in get_args(hint))


def _nearest(word: str, names: Mapping[str, Any]) -> str:
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return repr(close[0]) if close else "one of " + ", ".join(sorted(names))


__all__ = [
    "Example",
    "ModelConfig",
    "parse_config",
    "reads_sequences",
    "register",
    "registered",
]
