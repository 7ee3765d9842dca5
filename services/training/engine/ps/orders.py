"""A job as JSON: a recipe with its arguments, how to fit and how to share the work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from services.training.engine.fitting import FitConfig, Objective
from services.training.engine.layers import Weights
from services.training.engine.optimizers import OptimizerConfig
from services.training.engine.ps.job import Build, Job, Order, Sharing
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.wire import Wire
from services.training.engine.rows import Arrays
from services.training.models import LayerList
from shared.errors import InvalidArgumentError


@dataclass(frozen=True)
class Material:
    """What a recipe makes: a model, its loss, rows to train it on and perhaps rows to stop on.

    `learned` gives vectors to start from instead of drawn ones; only who begins the fit asks.
    """

    layers: LayerList
    objective: Objective
    rows: Arrays
    valid: Arrays | None = None
    learned: Callable[[], Weights] = dict


Recipe = Callable[..., Material]

_KEYS = ("recipe", "arguments", "fit", "sharing", "seed")


def order_builder(recipes: Mapping[str, Recipe]) -> Build:
    """A function that makes jobs of orders: every node makes the same job of the same order.

    An order is `{"recipe": name, "arguments": {…}, "fit": {…}, "sharing": {…}, "seed": 0}`; `fit`
    and `sharing` have the fields of `FitConfig` and `Sharing`. The schedule "auto" is found by
    trying.

    Raises:
        InvalidArgumentError: The order names something that there is not.
    """

    def build(order: Order) -> Job:
        for key in order:
            _require_known(key, _KEYS, "the order")
        name = order.get("recipe", "")
        _require_known(name, tuple(recipes), "recipe")
        material = recipes[name](**order.get("arguments", {}))
        fit = dict(order.get("fit", {}))
        optimizer = _made(OptimizerConfig, fit.pop("optimizer", {}), "fit.optimizer")
        sharing = dict(order.get("sharing", {}))
        if "wire" in sharing:
            sharing["wire"] = _wire(sharing["wire"])
        if "schedule" in sharing:
            sharing["schedule"] = _schedule(sharing["schedule"])
        return Job(
            material.layers,
            material.objective,
            material.rows,
            _made(FitConfig, {**fit, "optimizer": optimizer}, "fit"),
            int(order.get("seed", 0)),
            _made(Sharing, sharing, "sharing"),
            material.valid,
            material.learned,
        )

    return build


def _schedule(given: Any) -> Schedule | None:
    return None if given == "auto" else _made(Schedule, given, "sharing.schedule")


def _wire(given: str) -> Wire:
    names = tuple(wire.name.lower() for wire in Wire)
    _require_known(given, names, "sharing.wire")
    return Wire[given.upper()]


Made = TypeVar("Made")


def _made(cls: type[Made], values: Mapping[str, Any], where: str) -> Made:
    names = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]
    for key in values:
        _require_known(key, names, where)
    return cls(**values)


def _require_known(key: str, known: tuple[str, ...], where: str) -> None:
    if key not in known:
        close = get_close_matches(key, known, n=1, cutoff=0.5)
        nearest = close[0] if close else "one of " + ", ".join(sorted(known))
        raise InvalidArgumentError(
            f"{where}: {key!r} is unknown; use {nearest}",
            reason="ORDER_KEY_UNKNOWN",
            key=key,
            nearest=nearest,
        )
