"""The whole answer as one pure function of weights and raw features: what is exported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import predict_fn
from services.training.models import LayerList
from services.training.runs.calibration import Calibration
from services.training.runs.heads import SpendScale, spend_parameters
from services.training.runs.scaling import Scaling, scale

Array = jax.Array
Weights = dict[str, Any]
NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class BaseRates:
    """What is said of a user whom the question does not fit, from such users in training."""

    active: float
    spend: float
    segments: NumpyArray
    """Shares of the three segments of the active; sum 1."""


@dataclass(frozen=True)
class Network:
    """The ensemble's shape: what is fixed in a program while its numbers are weights."""

    layers: LayerList
    members: int
    flagged: tuple[int, ...]


def pack(
    members: list[Mapping[str, Any]],
    linear: NumpyArray,
    scaling: Scaling,
    spend: SpendScale,
    calibration: Calibration,
    base: BaseRates,
) -> dict[str, NumpyArray]:
    """Every number of the answer as float32 arrays by name.

    Args:
        members: Weights of each network.
        linear: Coefficients of the straight half's logit, the intercept last.
        scaling: Preprocessing.
        spend: Scale of log spend.
        calibration: Corrections of all heads.
        base: What users get whom the question does not fit.
    """
    packed: dict[str, Any] = {
        "linear/coefficients": linear,
        "scaling/centre": scaling.centre,
        "scaling/spread": scaling.spread,
        "scaling/flag_rate": scaling.flag_rate,
        "spend/scale": [spend.centre, spend.spread, spend.most],
        "calibration/active": [calibration.slope, calibration.intercept],
        "calibration/spend": [calibration.spend_factor],
        "calibration/segment": [calibration.sharpness, *calibration.segment_shift],
        "base/active": [base.active],
        "base/spend": [base.spend],
        "base/segments": base.segments,
    }
    for number, weights in enumerate(members):
        packed |= {f"member{number}/{name}": value for name, value in weights.items()}
    return {name: np.asarray(value, dtype=np.float32) for name, value in sorted(packed.items())}


def network_inputs(network: Network, weights: Weights, features: Array) -> Array:
    """Raw features to what every member takes."""
    return scale(features, weights["scaling/centre"], weights["scaling/spread"], network.flagged)


def active_logit(network: Network, weights: Weights, inputs: Array) -> Array:
    """Calibrated logit of being active, from the mean of the networks and the straight half."""
    return _active(weights, inputs, _members(network, weights, inputs))


def predict(network: Network) -> Callable[[Weights, Array, Array], dict[str, Array]]:
    """The program (weights, features, eligible) -> the coherent answer of each row."""

    def run(weights: Weights, features: Array, eligible: Array) -> dict[str, Array]:
        inputs = network_inputs(network, weights, features)
        outputs = _members(network, weights, inputs)
        active = jax.nn.sigmoid(_active(weights, inputs, outputs))
        spend = jnp.exp(outputs["log_mean"][:, 0]) * weights["calibration/spend"]
        correction = weights["calibration/segment"]
        logits = correction[0] * outputs["segment"] + correction[None, 1:]
        shares = jax.nn.softmax(logits, axis=1)

        active = jnp.where(eligible, active, weights["base/active"])
        value = jnp.where(eligible, active * spend, weights["base/spend"])
        shares = jnp.where(eligible[:, None], shares, weights["base/segments"][None, :])
        churn = 1.0 - active
        return {
            "active_probability": active,
            "churn_probability": churn,
            "expected_value": value,
            "segment_probabilities": jnp.concatenate(
                [churn[:, None], active[:, None] * shares], axis=1
            ),
        }

    return run


def member_outputs(
    layers: LayerList, spend_scale: Array
) -> Callable[[Weights, Array], dict[str, Array]]:
    """One member's (weights, inputs) -> active logit, log of expected spend, segment logits."""
    network = predict_fn(layers)

    def run(weights: Weights, inputs: Array) -> dict[str, Array]:
        outputs = network(weights, {"features": inputs})
        mean, sigma = spend_parameters(outputs["spend"])
        log_mean = spend_scale[0] + spend_scale[1] * mean
        log_mean = log_mean + 0.5 * jnp.square(spend_scale[1] * sigma)
        # Nobody is expected to spend more than anybody ever has.
        log_mean = jnp.minimum(log_mean, spend_scale[2])
        return {
            "active": outputs["active"],
            "log_mean": log_mean[:, None],
            "segment": outputs["segment"],
        }

    return run


def _members(network: Network, weights: Weights, inputs: Array) -> dict[str, Array]:
    run = member_outputs(network.layers, weights["spend/scale"])
    outputs = [run(_member(weights, number), inputs) for number in range(network.members)]
    return {
        name: sum((one[name] for one in outputs[1:]), outputs[0][name]) / network.members
        for name in outputs[0]
    }


def _member(weights: Weights, number: int) -> Weights:
    prefix = f"member{number}/"
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _active(weights: Weights, inputs: Array, outputs: dict[str, Array]) -> Array:
    linear = weights["linear/coefficients"]
    straight = inputs @ linear[:-1] + linear[-1]
    slope, intercept = weights["calibration/active"]
    calibrated: Array = slope * blend(outputs["active"][:, 0], straight) + intercept
    return calibrated


def blend(deep: Any, straight: Any) -> Any:
    """The logit before calibration: networks and straight lines count the same."""
    return 0.5 * (deep + straight)
