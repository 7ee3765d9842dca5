"""The largest likelihood over positive parameters, by Newton steps in double precision."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from scipy.optimize import minimize

from shared.errors import FailedPreconditionError

LogLikelihood = Callable[[jax.Array], jax.Array]


PRIOR_SPREAD = 3.0
"""Of each parameter's logarithm around 0 before any customer was seen: so wide that a few hundred
customers outweigh it, yet it keeps parameters finite where nobody was seen to leave."""


def most_likely(mean: LogLikelihood, count: int, names: Sequence[str]) -> list[float]:
    """The positive parameters with the largest mean log-likelihood, a wide prior counted in.

    Searched over their logarithms with exact gradients and curvatures in a trust region.

    Args:
        mean: Mean log-likelihood a customer of the logarithms of all parameters, in float64; in
            units that make a parameter of one an ordinary one.
        count: Customers.
        names: Of the parameters, for the error.

    Raises:
        FailedPreconditionError: The likelihood has no maximum at usable values.
    """

    def loss(log_parameters: jax.Array) -> jax.Array:
        prior = (log_parameters**2).sum() / (2.0 * PRIOR_SPREAD**2 * count)
        return prior - mean(log_parameters)

    with jax.enable_x64(True):
        value, curvature = jax.jit(jax.value_and_grad(loss)), jax.jit(jax.hessian(loss))

        def at(point: Any) -> tuple[float, Any]:
            found, slope = value(point)
            return float(found), np.asarray(slope)

        found = minimize(
            at,
            np.zeros(len(names)),
            jac=True,
            hess=lambda point: np.asarray(curvature(point)),
            method="trust-exact",
            options={"gtol": 1e-8, "maxiter": 200},
        )
    if not np.isfinite(found.fun) or np.abs(found.jac).max() > 1e-4 or np.abs(found.x).max() > 16:
        values = ", ".join(f"{n} {v:.3g}" for n, v in zip(names, np.exp(found.x), strict=True))
        raise FailedPreconditionError(
            f"these customers do not determine the model's parameters (the search ended at "
            f"{values}); it needs more customers with repeat orders, or a longer history",
            reason="CUSTOMER_BASE_UNDETERMINED",
        )
    return [float(value) for value in np.exp(found.x)]
