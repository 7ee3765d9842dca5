"""Gamma-Gamma: the value of a customer's orders, learned from few of them.

Fader and Hardie (2013), "The Gamma-Gamma model of monetary value"; Fader, Hardie and Lee (2005),
"RFM and CLV: using iso-value curves for customer base analysis", Journal of Marketing Research 42.
The value of an order varies around the customer's own mean, means are inverse gamma distributed
over customers, and neither depends on how often one orders.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from services.training.customer_base.histories import Histories
from services.training.customer_base.likelihood import most_likely
from shared.errors import FailedPreconditionError, InvalidArgumentError

Array = jax.Array

LEAST_REPEATERS = 20


@dataclass(frozen=True)
class GammaGamma:
    """A fitted model.

    Args:
        p: Shape of an order's value around the customer's mean.
        q: Shape of the customers' own scales.
        gamma: Their rate, in units of money.
    """

    p: float
    q: float
    gamma: float

    def expected_value(self, repeats: Array, value: Array) -> Array:
        """Expected value of an order of each customer; without repeats that of all customers.

        Args:
            repeats: Orders that `value` is the mean of.
            value: Their mean value; not read where there are none.
        """
        seen = jnp.where(repeats > 0, repeats * value, 0.0)
        return self.p * (self.gamma + seen) / (self.p * repeats + self.q - 1.0)

    def log_likelihood(self, repeats: Array, value: Array) -> Array:
        """Of each customer's mean value of repeat orders, up to a constant of the data alone."""
        p, q, gamma = self.p, self.q, self.gamma
        orders = p * repeats
        return (
            gammaln(orders + q)
            - gammaln(orders)
            - gammaln(q)
            + q * jnp.log(gamma)
            + orders * jnp.log(value * repeats)
            - (orders + q) * jnp.log(gamma + value * repeats)
        )


def fit_gamma_gamma(histories: Histories) -> GammaGamma:
    """Fit by maximum likelihood to customers with repeat orders of positive value.

    Raises:
        FailedPreconditionError: These are too few, or do not determine the model with a finite
            mean.
        InvalidArgumentError: Histories carry no values.
    """
    if histories.value is None:
        raise InvalidArgumentError(
            "value: the histories carry no order values; give the mean of each customer's repeats",
            reason="HISTORY_WITHOUT_VALUES",
            field="value",
        )
    used = (histories.repeats > 0) & (histories.value > 0)
    repeats = histories.repeats[used].astype(np.float64)
    value = histories.value[used].astype(np.float64)
    if len(repeats) < LEAST_REPEATERS:
        raise FailedPreconditionError(
            f"too little data for the model of order values: customers with a repeat order of "
            f"positive value are {len(repeats)}, at least {LEAST_REPEATERS} are needed",
            reason="TOO_LITTLE_DATA",
            rule="customers with a repeat order of positive value",
            value=len(repeats),
            threshold=LEAST_REPEATERS,
        )
    unit = float(np.median(value))

    def mean(logs: Array) -> Array:
        p, excess, gamma = jnp.exp(logs)
        # The mean of all customers is finite only where q is above one.
        model = GammaGamma(p, 1.0 + excess, gamma)
        return jnp.mean(model.log_likelihood(jnp.asarray(repeats), jnp.asarray(value / unit)))

    p, excess, gamma = most_likely(mean, len(repeats), ("p", "q - 1", "gamma"))
    return GammaGamma(p, 1.0 + excess, gamma * unit)
