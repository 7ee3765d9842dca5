"""Reading sequences: what goes in at each step, and which row speaks for the whole."""

from collections.abc import Mapping
from math import sqrt

import jax.numpy as jnp

from services.training.models.layer import (
    Array,
    Carry,
    Field,
    InputSpec,
    Layer,
    Layout,
    Parameter,
    Step,
    stateless,
)
from services.training.models.parts import linear


def sequence(length: int, *, vocabulary: int = 0, width: int = 0, features: int = 0) -> InputSpec:
    """Sequences of `length` steps: "tokens" of a vocabulary, "steps" of `width` numbers, or both.

    "mask" is true at the steps a row has; they come first, and there is at least one. Beside its
    sequence a row may have `features` numbers of its own.
    """
    tokens = (Field("tokens", (length,), "int32", vocabulary),) if vocabulary else ()
    steps = (Field("steps", (length, width)),) if width else ()
    own = (Field("features", (features,)),) if features else ()
    return InputSpec((*own, *tokens, *steps, Field("mask", (length,), "bool")))


def reading(inputs: InputSpec, width: int, *, has_positions: bool) -> Layer:
    """Tokens and numbers of each step as "hidden" rows: [batch, step, width].

    Args:
        has_positions: Whether a learned row for its place is added to each step.
    """
    fields = {field.name: field for field in inputs.fields}
    length = inputs["mask"].shape[0]
    parameters = []
    if "tokens" in fields:
        vocabulary = fields["tokens"].vocabulary
        parameters.append(Parameter("tokens", (vocabulary, width), scale=1.0, is_decayed=False))
    if "steps" in fields:
        size = fields["steps"].shape[1]
        parameters.append(Parameter("weight", (size, width), scale=sqrt(1.0 / size)))
    if has_positions:
        parameters.append(Parameter("positions", (length, width), scale=0.1, is_decayed=False))
    layout = Layout((*parameters, Parameter("bias", (width,))))

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:  # noqa: ARG001
        hidden = jnp.zeros((1, 1, width), p["bias"].dtype) + p["bias"][None, None, :]
        if "tokens" in fields:
            hidden = hidden + jnp.take(p["tokens"], carry["tokens"], axis=0)
        if "steps" in fields:
            hidden = hidden + linear(carry["steps"], p["weight"], jnp.zeros_like(p["bias"]))
        if has_positions:
            # A bucket of shorter sequences uses the first places.
            hidden = hidden + p["positions"][None, : carry["mask"].shape[1]]
        kept = {name: carry[name] for name in ("features", "mask") if name in carry}
        return kept | {"hidden": hidden}

    return stateless("reading", layout, apply)


def last_of_each(hidden: Array, mask: Array) -> Array:
    """The row of the last step that each sequence has: [step, batch, width] to [batch, width]."""
    last = jnp.maximum(mask.sum(1), 1) - 1
    return jnp.take_along_axis(hidden, last[None, :, None], axis=0)[0]


def mean_of_each(hidden: Array, mask: Array) -> Array:
    """The mean row of the steps that each sequence has: [batch, step, width] to [batch, width]."""
    share = mask / jnp.maximum(mask.sum(1, keepdims=True), 1)
    return (hidden * share[:, :, None].astype(hidden.dtype)).sum(1)


def mean_row(carry: Carry) -> Array:
    """`mean_of_each` of the hidden rows."""
    return mean_of_each(carry["hidden"], carry["mask"])
