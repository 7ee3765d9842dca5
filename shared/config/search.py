"""The `search` block of prediction files: which settings `--thorough` tries, and how it chooses.

>>> block = {"trials": 30, "space": {"learning_rate": {"low": 0.001, "high": 0.01, "log": True}}}
>>> asked = parse_search(block, OF_USERS)
>>> asked.strategy, asked.trials, asked.seeds, asked.space["learning_rate"].high
('tpe', 30, 3, 0.01)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, get_args

import yaml

from shared.config import strict

Strategy = Literal["tpe", "random", "grid"]
"""How the next settings are proposed: from what went well so far (TPE), at random, or all."""

_OF_BOTH = ("learning_rate", "weight_decay", "epochs", "patience")
OF_USERS = (*_OF_BOTH, "half_life_days")
"""Settings of a fit that may be searched over where users are asked about."""
OF_TABLES = (*_OF_BOTH, "batch_size")
"""Those where rows of a table are."""

_KEYS = ("strategy", "trials", "seeds", "space")
_OF_MODEL = re.compile(r"model\.([a-z][a-z0-9_]*)")
_MOST_TRIALS, _MOST_SEEDS, _MOST_CHOICES = 1_000, 20, 50


@dataclass(frozen=True)
class Dimension:
    """What one setting may be: one of some values, or a number between two.

    Attributes:
        choices: The values; empty where `low` and `high` bound a number.
        low: Least number; whole where both bounds are, then so are all in between.
        high: Greatest.
        is_log: Whether numbers are drawn evenly by their logarithm.
    """

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False


@dataclass(frozen=True, kw_only=True)
class Search:
    """How settings are chosen when a model is trained thoroughly."""

    strategy: Strategy = "tpe"
    trials: int = 20
    """Settings that are tried, beside those of the file."""
    seeds: int = 3
    """Seeds that the best settings are fitted with before one is chosen."""
    space: Mapping[str, Dimension] = field(default_factory=dict)
    """What is tried; empty means the usual space of the model."""


def parse_search(value: Any, fit_keys: tuple[str, ...]) -> Search:
    """Read the block strictly.

    Args:
        value: What stands under `search`.
        fit_keys: Settings of a fit that this kind of question has.

    Raises:
        InvalidArgumentError: Something is unknown or out of range; the message names the field.
    """
    values = strict.mapping("search", value, _KEYS)
    strategies = get_args(Strategy)
    strategy = values.get("strategy", "tpe")
    if strategy not in strategies:
        raise strict.refusal("search.strategy", strict.unknown(str(strategy), strategies))
    space = _space(values.get("space", {}), fit_keys)
    usual = Search()
    trials = strict.whole("search.trials", values.get("trials", usual.trials), 1, _MOST_TRIALS)
    if strategy == "grid":
        _require_grid(space, trials)
    return Search(
        strategy=strategy,
        trials=trials,
        seeds=strict.whole("search.seeds", values.get("seeds", usual.seeds), 1, _MOST_SEEDS),
        space=space,
    )


def without_search(text: str) -> str:
    """Return the text of a prediction file without its `search` block, which no dataset reads."""
    content = strict.document(text)
    if not isinstance(content, dict) or "search" not in content:
        return text
    rest = {key: value for key, value in content.items() if key != "search"}
    return yaml.safe_dump(rest, sort_keys=False)


def with_search(text: str, **changes: Any) -> str:
    """Return the text with these keys of its `search` block set; None leaves a key as it is."""
    content = strict.document(text)
    if not isinstance(content, dict):
        return text  # refused by whoever reads the file
    block = content.get("search", {})
    if not isinstance(block, dict):
        raise strict.refusal("search", f"must be a mapping with the keys {', '.join(_KEYS)}")
    given = {key: value for key, value in changes.items() if value is not None}
    return yaml.safe_dump({**content, "search": {**block, **given}}, sort_keys=False)


def _space(value: Any, fit_keys: tuple[str, ...]) -> Mapping[str, Dimension]:
    if not isinstance(value, dict):
        raise strict.refusal("search.space", "must be a mapping from settings to what they may be")
    for key in value:
        found = _OF_MODEL.fullmatch(str(key))
        if found is not None and found[1] == "type":
            raise strict.refusal(f"search.space.{key}", "train one file for each type of model")
        if found is None and key not in fit_keys:
            known = (*fit_keys, "model.width", "model.dropout")
            raise strict.refusal(f"search.space.{key}", strict.unknown(str(key), known))
    return {str(key): _dimension(f"search.space.{key}", each) for key, each in value.items()}


def _dimension(place: str, value: Any) -> Dimension:
    if isinstance(value, list):
        is_plain = all(isinstance(each, bool | int | float | str) for each in value)
        if not is_plain or not 1 <= len(set(map(str, value))) == len(value) <= _MOST_CHOICES:
            raise strict.refusal(place, f"list 1 to {_MOST_CHOICES} different values")
        return Dimension(tuple(value))
    if not isinstance(value, dict):
        raise strict.refusal(place, "must be a list of values or a mapping {low: …, high: …}")
    values = strict.mapping(place, value, ("low", "high", "log"))
    for key in ("low", "high"):
        if key not in values:
            raise strict.refusal(f"{place}.{key}", "it is required")
        strict.number(f"{place}.{key}", values[key], -1e9, 1e9)
    low, high, is_log = values["low"], values["high"], values.get("log", False)
    if not isinstance(is_log, bool):
        raise strict.refusal(f"{place}.log", f"{is_log!r} must be true or false")
    if not low < high or (is_log and low <= 0):
        raise strict.refusal(
            place, "low must be less than high" + (", and above 0 with log" if is_log else "")
        )
    return Dimension(low=low, high=high, is_log=is_log)


def _require_grid(space: Mapping[str, Dimension], trials: int) -> None:
    if not space:
        raise strict.refusal("search.space", "it is required for a grid; list values of settings")
    for key, each in space.items():
        if not each.choices:
            raise strict.refusal(f"search.space.{key}", "a grid needs a list of values")
    points = prod(len(each.choices) for each in space.values())
    if points > trials:
        raise strict.refusal(
            "search.trials",
            f"the grid has {points} points and only {trials} are tried; raise trials or list "
            "fewer values",
        )
