"""Prediction files about products: what does a user order next?

>>> question = parse_product_prediction(
...     "name: a\\ntarget: {kind: next_product}\\nhorizon: 90d\\nas_of: {every: 4w}\\n"
... )
>>> question.horizon.days, question.every.days, question.model["type"]
(90, 28, 'candidates')
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.config import strict

KIND = "next_product"

_KEYS = ("name", "target", "horizon", "as_of", "model")
_REQUIRED = ("name", "target", "horizon")
_OF_USERS = ("eligible", "folds", "features")


@dataclass(frozen=True, kw_only=True)
class ProductPrediction:
    """Which products does a user order within the horizon, and which that are new to them?"""

    name: str
    horizon: timedelta
    every: timedelta = timedelta(days=30)
    """How far apart training instants lie."""
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "candidates"})


def parse_product_prediction(text: str) -> ProductPrediction:
    """Read the YAML text of a prediction file about products.

    Raises:
        InvalidArgumentError: Something is unknown, missing or out of range; the message names
            the field and what it may be.
    """
    content = strict.document(text)
    for key in _OF_USERS:
        if isinstance(content, dict) and key in content:
            raise strict.refusal(
                key, "a question about products has none: every user gets an answer; leave it out"
            )
    values = strict.mapping("", content, _KEYS)
    strict.require(values, _REQUIRED)
    if strict.mapping("target", values["target"], ("kind",)).get("kind") != KIND:
        raise strict.refusal("target.kind", f"a question about products asks for {KIND!r}")
    optional: dict[str, Any] = {}
    if "as_of" in values:
        every = strict.mapping("as_of", values["as_of"], ("every",)).get("every", "30d")
        optional["every"] = strict.duration("as_of.every", every, least=1)
    if "model" in values:
        optional["model"] = strict.model(values["model"])
    return ProductPrediction(
        name=strict.name(values["name"]),
        horizon=strict.duration("horizon", values["horizon"], least=1),
        **optional,
    )
