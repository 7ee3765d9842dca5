"""When it happens as one pure function of weights and raw features: what is exported."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import predict_fn
from services.training.models import LayerList
from services.training.runs.answer import (
    Network,
    Weights,
    customer_base,
    learned_part,
    member_weights,
    network_inputs,
    whole_logit,
)
from services.training.runs.correcting import Weighing
from services.training.runs.returning import Returning
from services.training.runs.rows import NumpyArray
from services.training.runs.scaling import Scaling
from services.training.runs.wait_curve import (
    LEVELS,
    chance_logits,
    days_at,
    hazard_logits,
    moved,
)

Array = jax.Array

OUTPUTS = ("days_low", "days", "days_high")


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
        "scaling/flag_rate": scaling.flag_rate,
        "base/hazard": base,
        "base/chances": others,
        "calibration/active": [weighing.slope, weighing.intercept],
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


def predict_waits(network: Network) -> Callable[[Weights, Array, Array], dict[str, Array]]:
    """The program (weights, features, eligible) -> chances by part and days of each row."""

    def run(weights: Weights, features: Array, eligible: Array) -> dict[str, Array]:
        inputs = network_inputs(network, weights, features)
        deep = _deep(network, weights, inputs)
        base = customer_base(network, weights, inputs)
        chances = moved(deep, whole_logit(weights, inputs, deep[:, -1], base))
        chances = jnp.where(eligible[:, None], chances, weights["base/chances"][None, :])
        days = {
            name: days_at(chances, level, float(network.horizon_days))
            for name, level in zip(OUTPUTS, LEVELS, strict=True)
        }
        return {"chances": chances, **days}

    return run


def learned_chance(network: Network, weights: Weights, inputs: Array) -> Array:
    """What networks and straight lines have in the logit that it happens within the horizon."""
    return learned_part(weights, inputs, _deep(network, weights, inputs)[:, -1])


def _deep(network: Network, weights: Weights, inputs: Array) -> Array:
    """Mean logit of the networks' chances by part."""
    run, base = member_logits(network.layers), weights["base/hazard"]
    each = [run(member_weights(weights, number), base, inputs) for number in range(network.members)]
    mean: Array = sum(each[1:], each[0]) / network.members
    return mean
