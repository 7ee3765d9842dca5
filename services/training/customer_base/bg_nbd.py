"""BG/NBD: how often customers order, and after which order they leave.

Fader, Hardie and Lee (2005), "Counting your customers" the easy way: an alternative to the
Pareto/NBD model, Marketing Science 24(2). While a customer is active, orders come at random at a
rate of one's own, gamma distributed over customers; after each order a customer leaves with a
chance of one's own, beta distributed. Nobody can leave before the second order.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from services.training.customer_base.histories import Histories
from services.training.customer_base.likelihood import most_likely
from shared.errors import FailedPreconditionError

Array = jax.Array

LEAST_CUSTOMERS = 100
LEAST_REPEATERS = 20
_NODES = 64


@dataclass(frozen=True)
class BgNbd:
    """A fitted model; its functions are pure and traceable, so that programs can hold them.

    Args:
        r: Shape of the order rate's gamma distribution.
        alpha: Its rate, in units of time.
        a: First parameter of the beta distribution of the chance to leave.
        b: Second.
    """

    r: float
    alpha: float
    a: float
    b: float

    def active(self, repeats: Array, recency: Array, age: Array) -> Array:
        """Probability that the customer has not left."""
        return jax.nn.sigmoid(-self._left_logit(repeats, recency, age))

    def orders_within(self, repeats: Array, recency: Array, age: Array, horizon: float) -> Array:
        """Probability of at least one order in the time ahead."""
        quiet = jnp.exp((self.r + repeats) * -jnp.log1p(horizon / (self.alpha + age)))
        return self.active(repeats, recency, age) * (1.0 - quiet)

    def expected_orders(self, repeats: Array, recency: Array, age: Array, horizon: float) -> Array:
        """Expected number of orders in the time ahead.

        The paper's hypergeometric function is computed as the integral that it stands for, since
        its series is slow and loses its digits where `a` is near one: a customer who is active and
        leaves with chance p after each order is expected to place
        (1 - (1 + p * horizon / (alpha + age)) ** -(r + repeats)) / p orders, and p is beta
        distributed with a and b + repeats. Relative error at most 1e-3, commonly below 1e-6.
        """
        shape, left = self.r + repeats, self.b + repeats
        pace = horizon / (self.alpha + age)
        mode = jnp.log(self.a / left)
        low = jnp.minimum(mode, -jnp.log1p(pace * shape)) - 9.0
        high = mode + 6.0 + 30.0 / jnp.maximum(left, 1.0)
        half = 0.5 * (high - low)
        # Over the logit of p; below `low` orders no longer depend on p and the rest is a power.
        rest = jnp.exp(self.a * low) / self.a
        total, weighted = rest, rest * shape * pace
        for node, weight in zip(*np.polynomial.legendre.leggauss(_NODES), strict=True):
            logit = low + half * (1.0 + float(node))
            chance = jax.nn.sigmoid(logit)
            density = (
                float(weight)
                * half
                * jnp.exp(self.a * jax.nn.log_sigmoid(logit) + left * jax.nn.log_sigmoid(-logit))
            )
            orders = -jnp.expm1(-shape * jnp.log1p(pace * chance)) / chance
            total, weighted = total + density, weighted + density * orders
        return self.active(repeats, recency, age) * weighted / total

    def log_likelihood(self, repeats: Array, recency: Array, age: Array) -> Array:
        """Of each customer's history, up to a constant of the history alone."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        rates = gammaln(r + repeats) - gammaln(r) + r * jnp.log(alpha)
        stays = gammaln(b + repeats) - gammaln(b) + gammaln(a + b) - gammaln(a + b + repeats)
        active = -(r + repeats) * jnp.log(alpha + age)
        return rates + stays + active + jax.nn.softplus(self._left_logit(repeats, recency, age))

    def _left_logit(self, repeats: Array, recency: Array, age: Array) -> Array:
        odds = (
            jnp.log(self.a)
            - jnp.log(self.b + jnp.maximum(repeats, 1.0) - 1.0)
            + (self.r + repeats) * (jnp.log(self.alpha + age) - jnp.log(self.alpha + recency))
        )
        return jnp.where(repeats > 0, odds, -jnp.inf)


def fit_bg_nbd(histories: Histories) -> BgNbd:
    """Fit by maximum likelihood; equal histories are looked at once.

    Raises:
        FailedPreconditionError: There are too few customers, or they do not determine the model.
    """
    repeaters = int((histories.repeats > 0).sum())
    for rule, value, threshold in (
        ("customers", len(histories), LEAST_CUSTOMERS),
        ("customers with a repeat order", repeaters, LEAST_REPEATERS),
    ):
        if value < threshold:
            raise FailedPreconditionError(
                f"too little data for the customer-base model: {rule} are {value}, at least "
                f"{threshold} are needed; bring in more history",
                reason="TOO_LITTLE_DATA",
                rule=rule,
                value=value,
                threshold=threshold,
            )
    distinct, counts = histories.distinct()
    # One typical time as the unit keeps the search on one scale, whatever unit the caller uses.
    unit = float(np.mean(histories.age))
    shares = counts / counts.sum()

    def mean(logs: Array) -> Array:
        model = BgNbd(*jnp.exp(logs))
        arrays = (distinct.repeats, distinct.recency / unit, distinct.age / unit)
        return jnp.sum(shares * model.log_likelihood(*map(jnp.asarray, arrays)))

    r, alpha, a, b = most_likely(mean, len(histories), ("r", "alpha", "a", "b"))
    return BgNbd(r, alpha * unit, a, b)
