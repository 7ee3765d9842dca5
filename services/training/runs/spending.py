"""One distribution of spend for each row: nothing, or log-normal; values, segments and intervals
are read from it, so that they agree.

Wang, Liu and Miao, "A Deep Probabilistic Model for Customer Lifetime Value Prediction" (2019).
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

LOW_LEVEL = 0.001
"""Quantile of the spend given an order at which an interval that leaves out 0 begins."""

_LEAST_SHARE = 1e-4

_TOWARDS_BUYERS = 0.75
"""How far intervals are for whoever orders: at 0 everybody has the same chance to lie above, which
is narrowest, but later windows have more buyers whom nobody expected; at 1 every buyer has."""


@dataclass(frozen=True)
class Spending:
    """Log of the spend of whoever orders.

    Attributes:
        location: Its mean per row.
        spread: Its standard deviation per row.
    """

    location: Array
    spread: Array

    def log_mean(self, most: Array) -> Array:
        """Log of the expected spend; nobody is expected to spend more than anybody ever has."""
        return jnp.minimum(self.location + 0.5 * jnp.square(self.spread), most)

    def log_shares(self, log_limits: Array) -> Array:
        """[row, 3]: log of the chance to end below, between and above two limits."""
        low = (log_limits[0] - self.location) / self.spread
        high = (log_limits[1] - self.location) / self.spread
        shares = jnp.stack([ndtr(low), ndtr(high) - ndtr(low), ndtr(-high)], axis=1)
        return jnp.log(jnp.maximum(shares, _LEAST_SHARE))

    def tail(self, active: Array, log_spend: Array) -> Array:
        """How untypical it is to spend that: the chance to spend more, turned towards buyers."""
        return active ** (1.0 - _TOWARDS_BUYERS) * ndtr((self.location - log_spend) / self.spread)

    def interval(self, active: Array, interval: Array, most: Array) -> tuple[Array, Array]:
        """Low and high of what is spent.

        Args:
            active: Chance of an order per row.
            interval: The tail above the high; and the chance of an order from which on the
                interval leaves out 0.
            most: Log of the most that anybody ever spent.
        """
        tail, is_sure_from = interval
        level = 1.0 - tail / active ** (1.0 - _TOWARDS_BUYERS)
        reach = jnp.exp(jnp.minimum(self._quantile(jnp.maximum(level, LOW_LEVEL)), most))
        high = jnp.where(level > 0.0, reach, 0.0)
        low = jnp.where(active > is_sure_from, jnp.exp(self._quantile(LOW_LEVEL)), 0.0)
        return jnp.minimum(low, high), high

    def _quantile(self, level: Array | float) -> Array:
        return self.location + self.spread * ndtri(level)
