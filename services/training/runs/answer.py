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
from services.training.runs.returning import Returning, said
from services.training.runs.scaling import Scaling, scale, unscale
from services.training.runs.spending import Spending

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
    most: float
    """What all but one in twenty of them spend at most."""


@dataclass(frozen=True)
class Network:
    """The ensemble's shape: what is fixed in a program while its numbers are weights."""

    layers: LayerList
    members: int
    flagged: tuple[int, ...]
    horizon_days: int
    history: tuple[int, ...] = ()
    """Columns that the customer-base models read; empty where these are no member."""


def pack(
    members: list[Mapping[str, Any]],
    linear: NumpyArray,
    scaling: Scaling,
    spend: SpendScale,
    returning: Returning | None,
    limits: tuple[float, float],
    calibration: Calibration,
    base: BaseRates,
) -> dict[str, NumpyArray]:
    """Every number of the answer as float32 arrays by name.

    Args:
        members: Weights of each network.
        linear: Coefficients of the straight half's logit, the intercept last.
        scaling: Preprocessing.
        spend: Scale of log spend.
        returning: The customer-base models, where they are a member.
        limits: Between the value segments.
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
        "calibration/base": [calibration.base_share, calibration.base_shift],
        "calibration/spending": [calibration.spend_shift, calibration.spend_width],
        "calibration/spend": [calibration.spend_factor],
        "calibration/segment": [calibration.sharpness, *calibration.segment_shift],
        "calibration/decision": calibration.decision,
        "calibration/interval": [calibration.tail, calibration.is_sure_from],
        "segment/log_limits": np.log(np.maximum(limits, 1e-6)),
        "base/active": [base.active],
        "base/spend": [base.spend],
        "base/segments": base.segments,
        "base/most": [base.most],
    }
    if returning is not None:
        packed |= {"returning/orders": returning.orders, "returning/values": returning.values}
    for number, weights in enumerate(members):
        packed |= {f"member{number}/{name}": value for name, value in weights.items()}
    return {name: np.asarray(value, dtype=np.float32) for name, value in sorted(packed.items())}


def network_inputs(network: Network, weights: Weights, features: Array) -> Array:
    """Raw features to what every member takes."""
    return scale(features, weights["scaling/centre"], weights["scaling/spread"], network.flagged)


def learned_logit(network: Network, weights: Weights, inputs: Array) -> Array:
    """What networks and straight lines have in the calibrated logit of being active."""
    return learned_part(weights, inputs, _members(network, weights, inputs)["active"][:, 0])


def learned_part(weights: Weights, inputs: Array, deep: Array) -> Array:
    """The same, given the mean logit of the networks."""
    learned = _learned(weights, inputs, deep)
    logit: Array = weighed(learned, 0.0, weights["calibration/base"][0])
    return logit


def history_logit(network: Network, weights: Weights, history: Array) -> Array:
    """What the customer-base models have in it, from the inputs of their columns."""
    share, shift = weights["calibration/base"]
    logit: Array = weighed(0.0, _returning(network, weights, history)[0] + shift, share)
    return logit


def history_inputs(network: Network, inputs: Array) -> Array:
    """The inputs that the customer-base models read."""
    return inputs[:, np.asarray(network.history, np.int32)]


def customer_base(network: Network, weights: Weights, inputs: Array) -> tuple[Array, Array] | None:
    """Logit and log of spend by the customer-base models; None where they are no member."""
    if not network.history:
        return None
    return _returning(network, weights, history_inputs(network, inputs))


def predict(network: Network) -> Callable[[Weights, Array, Array], dict[str, Array]]:
    """The program (weights, features, eligible) -> the coherent answer of each row."""

    def run(weights: Weights, features: Array, eligible: Array) -> dict[str, Array]:
        inputs = network_inputs(network, weights, features)
        outputs = _members(network, weights, inputs)
        base = customer_base(network, weights, inputs)
        active = jax.nn.sigmoid(whole_logit(weights, inputs, outputs["active"][:, 0], base))
        spending = _spending(weights, outputs, base)
        most = weights["spend/scale"][2]
        spend = jnp.exp(spending.log_mean(most)) * weights["calibration/spend"]
        correction = weights["calibration/segment"]
        logits = correction[0] * spending.log_shares(weights["segment/log_limits"])
        shares = jax.nn.softmax(logits + correction[None, 1:], axis=1)
        low, high = spending.interval(active, weights["calibration/interval"], most)

        active = jnp.where(eligible, active, weights["base/active"])
        value = jnp.where(eligible, active * spend, weights["base/spend"])
        shares = jnp.where(eligible[:, None], shares, weights["base/segments"][None, :])
        churn = 1.0 - active
        segments = jnp.concatenate([churn[:, None], active[:, None] * shares], axis=1)
        decided = jnp.argmax(segments * weights["calibration/decision"][None, :], axis=1)
        return {
            "active_probability": active,
            "churn_probability": churn,
            "expected_value": value,
            "value_low": jnp.where(eligible, low, 0.0),
            "value_high": jnp.where(eligible, high, weights["base/most"]),
            "segment": decided.astype(jnp.float32),
            "segment_probabilities": segments,
        }

    return run


def member_outputs(
    layers: LayerList, spend_scale: Array
) -> Callable[[Weights, Array], dict[str, Array]]:
    """One member's (weights, inputs) -> active logit, mean and spread of log spend."""
    network = predict_fn(layers)

    def run(weights: Weights, inputs: Array) -> dict[str, Array]:
        outputs = network(weights, {"features": inputs})
        mean, sigma = spend_parameters(outputs["spend"])
        return {
            "active": outputs["active"],
            "location": (spend_scale[0] + spend_scale[1] * mean)[:, None],
            "spread": (spend_scale[1] * sigma)[:, None],
        }

    return run


def _members(network: Network, weights: Weights, inputs: Array) -> dict[str, Array]:
    run = member_outputs(network.layers, weights["spend/scale"])
    outputs = [run(member_weights(weights, number), inputs) for number in range(network.members)]
    return {
        name: sum((one[name] for one in outputs[1:]), outputs[0][name]) / network.members
        for name in outputs[0]
    }


def member_weights(weights: Mapping[str, Any], number: int) -> Weights:
    """What `pack` took from one member, under the names that its network knows."""
    prefix = f"member{number}/"
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _returning(network: Network, weights: Weights, history: Array) -> tuple[Array, Array]:
    columns = np.asarray(network.history, np.int32)
    centre, spread = weights["scaling/centre"][columns], weights["scaling/spread"][columns]
    orders, values = weights["returning/orders"], weights["returning/values"]
    return said(orders, values, unscale(history, centre, spread), float(network.horizon_days))


def _straight(weights: Weights, inputs: Array) -> Array:
    linear = weights["linear/coefficients"]
    logit: Array = inputs @ linear[:-1] + linear[-1]
    return logit


def whole_logit(
    weights: Weights, inputs: Array, deep: Array, base: tuple[Array, Array] | None
) -> Array:
    """The calibrated logit of all members.

    Args:
        weights: From `pack`.
        inputs: Of the networks.
        deep: Their mean logit.
        base: From `customer_base`.
    """
    learned = _learned(weights, inputs, deep)
    if base is None:
        return learned
    share, shift = weights["calibration/base"]
    both: Array = weighed(learned, base[0] + shift, share)
    return both


def _learned(weights: Weights, inputs: Array, deep: Array) -> Array:
    slope, intercept = weights["calibration/active"]
    calibrated: Array = slope * blend(deep, _straight(weights, inputs)) + intercept
    return calibrated


def _spending(
    weights: Weights, outputs: dict[str, Array], base: tuple[Array, Array] | None
) -> Spending:
    shift, width = weights["calibration/spending"]
    location = located(outputs["location"][:, 0], None if base is None else base[1])
    return Spending(location + shift, width * outputs["spread"][:, 0])


def blend(deep: Any, straight: Any) -> Any:
    """The logit of networks and straight lines before calibration: each kind counts the same."""
    return (deep + straight) / 2.0


def weighed(learned: Any, base: Any, base_share: Any) -> Any:
    """The logit of an order, once both are calibrated.

    Weights fitted to users held out follow the training windows, and did worse on later ones.
    """
    return (1.0 - base_share) * learned + base_share * base


def located(deep: Any, base: Any = None) -> Any:
    """The mean of log spend before calibration: networks count twice."""
    return deep if base is None else (2.0 * deep + base) / 3.0
