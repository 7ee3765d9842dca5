"""Prediction files: one YAML that names target, horizon and eligible users, read strictly.

>>> question = load_shipped("churn_90d")
>>> question.target.kind, question.horizon.days, str(question.eligible)
('churn', 90, 'orders_ever >= 1')
"""

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from shared.errors import InvalidArgumentError, NotFoundError
from shared.features import FEATURES, GROUPS

SHIPPED_FOLDER = Path(__file__).resolve().parents[2] / "predictions"

TARGET_KINDS = ("churn", "value", "segment")
"""Targets that can be predicted."""

_PLANNED_KINDS = ("purchase", "next_order", "next_product", "sentiment", "event")
_KEYS = ("name", "target", "eligible", "horizon", "as_of", "folds", "features", "model")
_REQUIRED = ("name", "target", "horizon")
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_CONDITION = re.compile(r"([a-z][a-z0-9_]*)\s*(>=|<=|==|>|<)\s*(\d+(?:\.\d+)?)")
_DURATION = re.compile(r"(\d{1,5})([dw])")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LONGEST_DAYS = 3_650


@dataclass(frozen=True)
class Target:
    """What is asked: churn (no order), value (gross spend) or segment (a third of spenders)."""

    kind: str


@dataclass(frozen=True)
class Condition:
    """One comparison of a feature with a number."""

    feature: str
    comparison: str
    threshold: float

    def __str__(self) -> str:
        return f"{self.feature} {self.comparison} {self.threshold:g}"

    def holds(self, value: Any) -> Any:
        """Compare a value, or an array of values; a missing value (NaN) never holds."""
        return _OPERATORS[self.comparison](value, self.threshold)


@dataclass(frozen=True)
class Eligibility:
    """Conditions that must all hold for a user to be asked about; none means everybody."""

    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        return " and ".join(map(str, self.conditions))


@dataclass(frozen=True)
class AsOfRule:
    """How far apart training instants lie, and what is left free before the labels' end."""

    every: timedelta = timedelta(days=30)
    gap: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class PredictionFile:
    """One question that Oriel answers about every user."""

    name: str
    target: Target
    horizon: timedelta
    eligible: Eligibility = Eligibility()
    as_of: AsOfRule = AsOfRule()
    folds: str | int = "auto"
    features: tuple[str, ...] = ("rfm", "windows", "trends")
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "mlp"})


def load_shipped(name: str) -> PredictionFile:
    """Read one of the prediction files that come with Oriel.

    Raises:
        NotFoundError: None has this name.
    """
    return parse_prediction(shipped_text(name))


def shipped_text(name: str) -> str:
    """Return the text of one of the prediction files that come with Oriel.

    Raises:
        NotFoundError: None has this name.
    """
    names = sorted(path.stem for path in SHIPPED_FOLDER.glob("*.yaml"))
    if name not in names:
        raise NotFoundError(
            f"no prediction file {name!r} is shipped; there are {', '.join(names)}",
            reason="PREDICTION_NOT_FOUND",
            prediction=name,
        )
    return (SHIPPED_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def parse_prediction(text: str) -> PredictionFile:
    """Read the YAML text of a prediction file.

    Raises:
        InvalidArgumentError: Something is unknown, missing or out of range; the message names
            the field and what it may be.
    """
    try:
        document = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise _refusal("", f"the text is not YAML: {error}") from error
    values = _mapping("", document, _KEYS)
    for key in _REQUIRED:
        if key not in values:
            raise _refusal(key, "it is required")
    optional: dict[str, Any] = {
        key: _READERS[key](values[key]) for key in _KEYS if key in values and key in _READERS
    }
    return PredictionFile(
        name=_name(values["name"]),
        target=_target(values["target"]),
        horizon=_duration("horizon", values["horizon"], least=1),
        **optional,
    )


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _refusal("name", f"{value!r} must be lower case letters, digits and underscores")
    return value


def _target(value: Any) -> Target:
    kind = _mapping("target", value, ("kind",)).get("kind")
    if kind in _PLANNED_KINDS:
        raise _refusal(
            "target.kind", f"{kind!r} cannot be predicted yet; use {', '.join(TARGET_KINDS)}"
        )
    if kind not in TARGET_KINDS:
        raise _refusal("target.kind", _unknown(str(kind), TARGET_KINDS))
    return Target(kind)


def _eligibility(value: Any) -> Eligibility:
    if not isinstance(value, str):
        raise _refusal("eligible", f"{value!r} must be a text such as 'orders_ever >= 1'")
    return Eligibility(tuple(_condition(part) for part in re.split(r"\s+and\s+", value.strip())))


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise _refusal(
            "eligible",
            f"{text!r} is not a condition; write 'feature >= number', joined by 'and'",
        )
    feature, comparison, threshold = match.groups()
    if feature not in FEATURES:
        raise _refusal("eligible", _unknown(feature, FEATURES))
    return Condition(feature, comparison, float(threshold))


def _as_of(value: Any) -> AsOfRule:
    values = _mapping("as_of", value, ("every", "gap"))
    default = AsOfRule()
    return AsOfRule(
        every=_duration("as_of.every", values["every"], least=1)
        if "every" in values
        else default.every,
        gap=_duration("as_of.gap", values["gap"], least=0) if "gap" in values else default.gap,
    )


def _folds(value: Any) -> str | int:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value  # type: ignore[no-any-return]
    raise _refusal("folds", f"{value!r} must be 'auto' or a whole number from 1 on")


def _features(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _refusal("features", f"must be a list of feature groups out of {', '.join(GROUPS)}")
    for group in value:
        if group not in GROUPS:
            raise _refusal("features", _unknown(str(group), GROUPS))
    if len(set(value)) != len(value):
        raise _refusal("features", "a group is named twice")
    return tuple(value)


def _model(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise _refusal("model", "must be a mapping with a 'type', such as {type: mlp}")
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "eligible": _eligibility,
    "as_of": _as_of,
    "folds": _folds,
    "features": _features,
    "model": _model,
}


def _duration(field_name: str, value: Any, *, least: int) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _refusal(field_name, f"{value!r} must be days or weeks, such as 90d or 12w")
    days = int(match[1]) * (7 if match[2] == "w" else 1)
    if not least <= days <= _LONGEST_DAYS:
        raise _refusal(field_name, f"{value!r} must lie between {least}d and {_LONGEST_DAYS}d")
    return timedelta(days=days)


def _mapping(field_name: str, value: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _refusal(field_name, f"must be a mapping with the keys {', '.join(keys)}")
    for key in value:
        if key not in keys:
            prefix = f"{field_name}." if field_name else ""
            raise _refusal(f"{prefix}{key}", _unknown(str(key), keys))
    return value


def _unknown(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]
    return f"{name!r} is unknown; did you mean {nearest!r}?"


def _refusal(field_name: str, problem: str) -> InvalidArgumentError:
    where = f"prediction file, {field_name}" if field_name else "prediction file"
    return InvalidArgumentError(
        f"{where}: {problem}", reason="PREDICTION_FILE_INVALID", field=field_name
    )


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read a mapping whose keys are all different."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(set(map(str, keys))) != len(keys):
            raise yaml.constructor.ConstructorError(
                None, None, "a key is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)
