"""Recurrences with few, large matrix products: LSTM (Hochreiter and Schmidhuber, 1997) and GRU.

Only the product with the last hidden row has to wait for the step before. All others, those of the
gradient included, are one product over all steps, which the derivative that JAX would write by
itself is not: it adds up one small product a step.
"""

from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array


@jax.custom_vjp
def lstm(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """Hidden rows of all steps; the first step starts from zeros.

    Args:
        x: [step, batch, input].
        kernel: [input, 4 * width], gates in the order input, forget, candidate, output.
        recurrent: [width, 4 * width].
        bias: [4 * width].

    Returns:
        [step, batch, width].
    """
    return _forward(x, kernel, recurrent, bias)[0]


def _forward(x: Array, kernel: Array, recurrent: Array, bias: Array) -> tuple[Array, Any]:
    inputs = x @ kernel + bias[None, None, :]
    start = jnp.zeros((x.shape[1], recurrent.shape[0]), x.dtype)

    def step(carry: tuple[Array, Array], given: Array) -> tuple[tuple[Array, Array], Any]:
        hidden, cell = carry
        i, f, g, o = jnp.split(given + hidden @ recurrent, 4, axis=1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        new = f * cell + i * g
        out = o * jnp.tanh(new)
        return (out, new), (out, new, jnp.concatenate([i, f, g, o], axis=1))

    _, (hidden, cells, gates) = jax.lax.scan(step, (start, start), inputs)
    return hidden, (x, kernel, recurrent, hidden, cells, gates)


def _backward(kept: Any, d_out: Array) -> tuple[Array, Array, Array, Array]:
    x, kernel, recurrent, hidden, cells, gates = kept
    zeros = jnp.zeros_like(hidden[:1])
    cells_before = jnp.concatenate([zeros, cells[:-1]])
    transposed = recurrent.T

    def step(carry: tuple[Array, Array], at: Any) -> tuple[tuple[Array, Array], Array]:
        d_hidden, d_cell = carry
        d_now, gate, cell, before = at
        i, f, g, o = jnp.split(gate, 4, axis=1)
        bent = jnp.tanh(cell)
        d_hidden = d_hidden + d_now
        d_cell = d_cell + d_hidden * o * (1.0 - bent * bent)
        d_gates = jnp.concatenate(
            [
                d_cell * g * i * (1.0 - i),
                d_cell * before * f * (1.0 - f),
                d_cell * i * (1.0 - g * g),
                d_hidden * bent * o * (1.0 - o),
            ],
            axis=1,
        )
        return (d_gates @ transposed, d_cell * f), d_gates

    start = (jnp.zeros_like(hidden[0]), jnp.zeros_like(hidden[0]))
    each = (d_out, gates, cells, cells_before)
    _, d_gates = jax.lax.scan(step, start, each, reverse=True)
    hidden_before = jnp.concatenate([zeros, hidden[:-1]])
    flat = d_gates.reshape(-1, d_gates.shape[-1])
    return (
        d_gates @ kernel.T,
        x.reshape(-1, x.shape[-1]).T @ flat,
        hidden_before.reshape(-1, hidden.shape[-1]).T @ flat,
        flat.sum(0),
    )


lstm.defvjp(_forward, _backward)


@jax.custom_vjp
def gru(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """Hidden rows of all steps (Cho et al., 2014); the first step starts from zeros.

    The reset gate acts after the product with the last hidden row, so that one product serves all
    three gates.

    Args:
        x: [step, batch, input].
        kernel: [input, 3 * width], gates in the order reset, update, candidate.
        recurrent: [width, 3 * width].
        bias: [3 * width].

    Returns:
        [step, batch, width].
    """
    return _gru_forward(x, kernel, recurrent, bias)[0]


def _gru_forward(x: Array, kernel: Array, recurrent: Array, bias: Array) -> tuple[Array, Any]:
    inputs = x @ kernel + bias[None, None, :]
    start = jnp.zeros((x.shape[1], recurrent.shape[0]), x.dtype)

    def step(hidden: Array, given: Array) -> tuple[Array, Any]:
        x_r, x_z, x_n = jnp.split(given, 3, axis=1)
        h_r, h_z, h_n = jnp.split(hidden @ recurrent, 3, axis=1)
        r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
        n = jnp.tanh(x_n + r * h_n)
        out = n + z * (hidden - n)
        return out, (out, jnp.concatenate([r, z, n, h_n], axis=1))

    _, (hidden, gates) = jax.lax.scan(step, start, inputs)
    return hidden, (x, kernel, recurrent, hidden, gates)


def _gru_backward(kept: Any, d_out: Array) -> tuple[Array, Array, Array, Array]:
    x, kernel, recurrent, hidden, gates = kept
    hidden_before = jnp.concatenate([jnp.zeros_like(hidden[:1]), hidden[:-1]])
    transposed = recurrent.T

    def step(d_hidden: Array, at: Any) -> tuple[Array, tuple[Array, Array]]:
        d_now, gate, before = at
        r, z, n, h_n = jnp.split(gate, 4, axis=1)
        d_hidden = d_hidden + d_now
        d_n = d_hidden * (1.0 - z) * (1.0 - n * n)
        d_r, d_z = d_n * h_n * r * (1.0 - r), d_hidden * (before - n) * z * (1.0 - z)
        d_product = jnp.concatenate([d_r, d_z, d_n * r], axis=1)
        d_before = d_product @ transposed + d_hidden * z
        return d_before, (jnp.concatenate([d_r, d_z, d_n], axis=1), d_product)

    each = (d_out, gates, hidden_before)
    _, (d_inputs, d_products) = jax.lax.scan(step, jnp.zeros_like(hidden[0]), each, reverse=True)
    flat = d_inputs.reshape(-1, d_inputs.shape[-1])
    return (
        d_inputs @ kernel.T,
        x.reshape(-1, x.shape[-1]).T @ flat,
        hidden_before.reshape(-1, hidden.shape[-1]).T @ d_products.reshape(flat.shape),
        flat.sum(0),
    )


gru.defvjp(_gru_forward, _gru_backward)
