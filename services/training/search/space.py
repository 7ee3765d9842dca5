"""Settings that are tried: what they may be, and a run's config with them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice, product
from typing import Any, TypeVar

from services.training.runs.config import RunConfig
from services.training.runs.table_config import TableRunConfig
from shared.config.search import Dimension, Search
from shared.errors import InvalidArgumentError

Params = Mapping[str, Any]
Config = TypeVar("Config", RunConfig, TableRunConfig)

_MODEL = "model."
_OF_BOTH = {
    "learning_rate": Dimension(low=5e-4, high=8e-3, is_log=True),
    "weight_decay": Dimension(low=1e-3, high=1e-1, is_log=True),
    "model.dropout": Dimension(low=0.1, high=0.5),
    "model.width": Dimension((16, 32, 64)),
}
_OF_USERS = {**_OF_BOTH, "half_life_days": Dimension((30.0, 60.0, 120.0, 240.0))}


@dataclass(frozen=True)
class Plan:
    """What is searched for, as values that are stored with a run's order.

    Args:
        strategy: How the next settings are proposed: "tpe", "random" or "grid".
        trials: Settings that are tried, beside those of the file.
        seeds: Seeds that the best are fitted with before one is chosen.
        metric: By which they are chosen.
        space: What each setting may be.
    """

    strategy: str
    trials: int
    seeds: int
    metric: str
    space: Mapping[str, Dimension]

    @classmethod
    def of(cls, asked: Search, metric: str, config: RunConfig | TableRunConfig) -> "Plan":
        """The plan of a block of a prediction file.

        Raises:
            InvalidArgumentError: A setting or one of its values is not for this model.
        """
        space = asked.space or _usual_space(config)
        for key, each in space.items():
            for value in each.choices or (each.low, each.high):
                _require_setting(config, key, value)
        return cls(asked.strategy, asked.trials, asked.seeds, metric, space)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Plan":
        """The plan that `values` told."""
        space = {
            name: Dimension(**{**each, "choices": tuple(each["choices"])})
            for name, each in values["space"].items()
        }
        return cls(**{**values, "space": space})

    def values(self) -> dict[str, Any]:
        """It as JSON can carry it."""
        return asdict(self)

    @property
    def count(self) -> int:
        """How many settings are tried: of a grid never more than its points."""
        return len(self.points()) if self.strategy == "grid" else self.trials

    def points(self) -> list[Params]:
        """Every point of a grid, the last setting changing fastest."""
        every = product(*(each.choices for each in self.space.values()))
        return [dict(zip(self.space, point, strict=True)) for point in islice(every, self.trials)]


def with_params(config: Config, params: Params) -> Config:
    """The config with these settings."""
    of_model = {
        name.removeprefix(_MODEL): value for name, value in params.items() if _is_of_model(name)
    }
    of_fit = {name: value for name, value in params.items() if not _is_of_model(name)}
    return replace(config, model={**config.model, **of_model}, **of_fit)


def params_of(config: RunConfig | TableRunConfig, space: Mapping[str, Dimension]) -> Params | None:
    """The settings that a config has already; None where the space does not hold them."""
    found = {name: _value(config, name) for name in space}
    return found if all(_holds(space[name], value) for name, value in found.items()) else None


def _usual_space(config: RunConfig | TableRunConfig) -> dict[str, Dimension]:
    usual = _OF_USERS if isinstance(config, RunConfig) else _OF_BOTH
    return {name: each for name, each in usual.items() if _value(config, name) is not None}


def _value(config: RunConfig | TableRunConfig, name: str) -> Any:
    """What a setting is now; None where there is none of this name."""
    source: Any = config.model_config() if _is_of_model(name) else config
    return getattr(source, name.removeprefix(_MODEL), None)


def _holds(dimension: Dimension, value: Any) -> bool:
    if dimension.choices:
        return value in dimension.choices
    return value is not None and dimension.low <= value <= dimension.high


def _require_setting(config: RunConfig | TableRunConfig, name: str, value: Any) -> None:
    """Refuse a value now and not after an hour of trials."""
    if not _is_of_model(name):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        is_whole = isinstance(_value(config, name), int)
        if not is_number or value < 0 or (is_whole and not (isinstance(value, int) and value > 0)):
            kind = "a whole number from 1 on" if is_whole else "a number from 0 on"
            raise InvalidArgumentError(
                f"prediction file, search.space.{name}: {value!r} must be {kind}",
                reason="PREDICTION_FILE_INVALID",
                field=f"search.space.{name}",
            )
        return
    model = {**config.model, name.removeprefix(_MODEL): value}
    replace(config, model=model).model_config()


def _is_of_model(name: str) -> bool:
    return name.startswith(_MODEL)
