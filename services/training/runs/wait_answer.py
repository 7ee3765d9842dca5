"""When it happens as one pure function of weights and raw features: what is exported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import predict_fn
from services.training.models import LayerList
from services.training.runs.answer import blend, member_weights, weighed
from services.training.runs.correcting import Weighing
from services.training.runs.returning import Returning, said
from services.training.runs.rows import NumpyArray
from services.training.runs.scaling import Scaling, scale
from services.training.runs.wait_curve import (
    LEVELS,
    chance_logits,
    days_at,
    hazard_logits,
    moved,
)

Array = jax.Array
Weights = Mapping[str, Any]

OUTPUTS = ("days_low", "days", "days_high")


@dataclass(frozen=True)
class WaitNetwork:
    """The ensemble's shape: what is fixed in a program while its numbers are weights."""

    layers: LayerList
    members: int
    flagged: tuple[int, ...]
    horizon_days: int
    history: tuple[int, ...] = ()
    """Columns that the customer-base model reads; empty where it is no member."""


def pack(
    members: Sequence[Mapping[str, Any]],
    linear: NumpyArray,
    scaling: Scaling,
    returning: Returning | None,
    base: NumpyArray,
    weighing: Weighing,
    others: NumpyArray,
) -> dict[str, NumpyArray]:
    """Every number of the answer as float32 arrays by name.

    Args:
        members: Weights of each network.
        linear: Coefficients of the straight part, the intercept last.
        scaling: Preprocessing.
        returning: The customer-base models, where they are a member.
        base: Logit of each part's hazard over all rows.
        weighing: How their logits that it happens at all become one.
        others: Chances by part of users whom the question does not fit.
    """
    packed: dict[str, Any] = {
        "linear/coefficients": linear,
        "scaling/centre": scaling.centre,
        "scaling/spread": scaling.spread,
        "base/hazard": base,
        "base/chances": others,
        "calibration/happens": [weighing.slope, weighing.intercept],
        "calibration/base": [weighing.base_share, weighing.base_shift],
    }
    if returning is not None:
        packed["returning/orders"] = returning.orders
        packed["returning/values"] = returning.values
    for number, weights in enumerate(members):
        packed |= {f"member{number}/{name}": value for name, value in weights.items()}
    return {name: np.asarray(value, dtype=np.float32) for name, value in sorted(packed.items())}


def member_logits(layers: LayerList) -> Callable[[Mapping[str, Any], Array, Array], Array]:
    """One member's (weights, base, inputs) -> logits of the chances by part."""
    network = predict_fn(layers)

    def run(weights: Mapping[str, Any], base: Array, inputs: Array) -> Array:
        output = network(dict(weights), {"features": inputs})["hazard"]
        return chance_logits(hazard_logits(output, base))

    return run


def predict_waits(network: WaitNetwork) -> Callable[[Weights, Array, Array], dict[str, Array]]:
    """The program (weights, features, eligible) -> chances by part and days of each row."""
    run_member = member_logits(network.layers)
    columns = np.asarray(network.history, np.int32)

    def run(weights: Weights, features: Array, eligible: Array) -> dict[str, Array]:
        centre, spread = weights["scaling/centre"], weights["scaling/spread"]
        inputs = scale(features, centre, spread, network.flagged)
        each = [
            run_member(member_weights(weights, number), weights["base/hazard"], inputs)
            for number in range(network.members)
        ]
        deep = sum(each[1:], each[0]) / network.members
        linear = weights["linear/coefficients"]
        slope, intercept = weights["calibration/happens"]
        share, shift = weights["calibration/base"]
        learned = slope * blend(deep[:, -1], inputs @ linear[:-1] + linear[-1]) + intercept
        base = 0.0
        if network.history:
            orders, values = weights["returning/orders"], weights["returning/values"]
            by_base, _ = said(orders, values, features[:, columns], float(network.horizon_days))
            base = by_base + shift
        chances = moved(deep, weighed(learned, base, share))
        chances = jnp.where(eligible[:, None], chances, weights["base/chances"][None, :])
        days = {
            name: days_at(chances, level, float(network.horizon_days))
            for name, level in zip(OUTPUTS, LEVELS, strict=True)
        }
        return {"chances": chances, **days}

    return run
