"""Prediction files: one YAML that names target, horizon and eligible users, read strictly.

>>> question = load_shipped("churn_90d")
>>> question.target.kind, question.horizon.days, str(question.eligible)
('churn', 90, 'orders_ever >= 1')
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.config import strict
from shared.config.search import OF_USERS, Search, parse_search
from shared.config.stream import StreamRule, parse_stream
from shared.errors import NotFoundError
from shared.features import FEATURES, GROUPS
from shared.features.waits import ORDER

SHIPPED_FOLDER = Path(__file__).resolve().parents[2] / "predictions"

TARGET_KINDS = ("churn", "purchase", "value", "segment", "event", "next_order")
"""Targets that can be predicted."""

_EVENT_NAME = re.compile(r"[^\W_][\w .:/()&+-]{0,99}")
_KEYS = (
    *("name", "target", "eligible", "horizon", "as_of", "folds", "features", "model"),
    *("search", "stream"),
)
_REQUIRED = ("name", "target", "horizon")
_AWAITED_BY: Mapping[str, str] = {"churn": "absent", "event": "happens"}
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_CONDITION = re.compile(r"([a-z][a-z0-9_]*)\s*(>=|<=|==|>|<)\s*(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Target:
    """What is asked: churn (nothing happens), purchase, value (gross spend), segment (of spenders),
    event (something happens) or next_order (when)."""

    kind: str
    awaited: str = ""
    """The event whose first time in the horizon is the answer: "order", "event" for any, or its
    name; empty where the answer is the spend in the horizon."""


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
    search: Search = field(default_factory=Search)
    stream: StreamRule | None = None
    """When it is predicted as events happen; None waits for batches."""


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
    content = strict.document(text)
    if isinstance(content, dict):
        _require_users(content)
    values = strict.mapping("", content, _KEYS)
    strict.require(values, _REQUIRED)
    optional: dict[str, Any] = {
        key: _READERS[key](values[key]) for key in _KEYS if key in values and key in _READERS
    }
    target = _target(values["target"])
    if target.awaited and "search" in values:
        raise strict.refusal(
            "search", "settings of a model of when something happens are not tried"
        )
    if target.awaited and "stream" in values:
        raise strict.refusal(
            "stream", "a model of when something happens is asked in batches; leave it out"
        )
    return PredictionFile(
        name=strict.name(values["name"]),
        target=target,
        horizon=strict.duration("horizon", values["horizon"], least=1),
        **optional,
    )


def _require_users(content: Mapping[Any, Any]) -> None:
    """Refuse what only a prediction about images has."""
    for key in ("source", "augment", "training"):
        if key in content:
            raise strict.refusal(
                key,
                "a question about users has none, and one about images or a table stands alone; "
                "give files about users only",
            )


def _target(value: Any) -> Target:
    kind = value.get("kind") if isinstance(value, dict) else None
    word = _AWAITED_BY.get(str(kind))
    values = strict.mapping("target", value, ("kind", *([word] if word else [])))
    if kind == "image_class":
        raise strict.refusal("target.kind", "'image_class' needs a `source: {images: FOLDER}`")
    if kind == "sentiment":
        raise strict.refusal("target.kind", "'sentiment' needs a `source: {text: FILE}`")
    if kind == "next_click":
        raise strict.refusal("target.kind", "'next_click' needs a `source: {sessions: FILE, …}`")
    if kind == "next_product":
        raise strict.refusal(
            "target.kind", "a question about products stands alone; give files about users only"
        )
    if kind not in TARGET_KINDS:
        raise strict.refusal("target.kind", strict.unknown(str(kind), TARGET_KINDS))
    if kind == "next_order":
        return Target(kind, ORDER)
    if kind == "event":
        if "happens" not in values:
            raise strict.refusal("target.happens", "it is required: name an event")
        return Target(kind, _awaited("target.happens", values["happens"]))
    absent = _awaited("target.absent", values.get("absent", ORDER))
    return Target(kind, "" if absent == ORDER else absent)


def _awaited(field_name: str, value: Any) -> str:
    if not isinstance(value, str) or not _EVENT_NAME.fullmatch(value):
        raise strict.refusal(
            field_name,
            f"{value!r} must be 'order', 'event' (any), or the name of an event, such as "
            "'Product Viewed'",
        )
    return value


def _eligibility(value: Any) -> Eligibility:
    if not isinstance(value, str):
        raise strict.refusal("eligible", f"{value!r} must be a text such as 'orders_ever >= 1'")
    return Eligibility(tuple(_condition(part) for part in re.split(r"\s+and\s+", value.strip())))


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise strict.refusal(
            "eligible",
            f"{text!r} is not a condition; write 'feature >= number', joined by 'and'",
        )
    feature, comparison, threshold = match.groups()
    if feature not in FEATURES:
        raise strict.refusal("eligible", strict.unknown(feature, FEATURES))
    return Condition(feature, comparison, float(threshold))


def _as_of(value: Any) -> AsOfRule:
    values = strict.mapping("as_of", value, ("every", "gap"))
    default = AsOfRule()
    return AsOfRule(
        every=strict.duration("as_of.every", values["every"], least=1)
        if "every" in values
        else default.every,
        gap=strict.duration("as_of.gap", values["gap"], least=0)
        if "gap" in values
        else default.gap,
    )


def _folds(value: Any) -> str | int:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value  # type: ignore[no-any-return]
    raise strict.refusal("folds", f"{value!r} must be 'auto' or a whole number from 1 on")


def _features(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise strict.refusal(
            "features", f"must be a list of feature groups out of {', '.join(GROUPS)}"
        )
    for group in value:
        if group not in GROUPS:
            raise strict.refusal("features", strict.unknown(str(group), GROUPS))
    if len(set(value)) != len(value):
        raise strict.refusal("features", "a group is named twice")
    return tuple(value)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "eligible": _eligibility,
    "as_of": _as_of,
    "folds": _folds,
    "features": _features,
    "model": strict.model,
    "search": lambda value: parse_search(value, OF_USERS),
    "stream": parse_stream,
}
