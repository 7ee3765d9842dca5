"""What XLA computes once and keeps, where by itself it would compute it again for each reader."""

import jax

Array = jax.Array


def settled(x: Array) -> Array:
    """`x` computed once where a CPU trains.

    XLA fuses what makes a value into everything that reads it; a sum over rows reads its whole
    input more than once, and on a CPU doing all of that again costs more than storing it.
    """
    if jax.default_backend() != "cpu":
        return x
    stored: Array = jax.lax.optimization_barrier(x)  # type: ignore[no-untyped-call]
    return stored
