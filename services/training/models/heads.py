"""The last layer of a model: every head is a linear map of one pooled row."""

from collections.abc import Callable, Mapping
from math import sqrt

from services.training.models.layer import (
    Array,
    Carry,
    HeadSpec,
    InputSpec,
    Layer,
    Layout,
    Parameter,
    Step,
    stateless,
)
from services.training.models.parts import layer_norm, linear


def linear_heads(
    size: int,
    heads: tuple[HeadSpec, ...],
    pool: Callable[[Carry], Array],
    *,
    scale: float,
    has_norm: bool = False,
) -> Layer:
    """All heads over `pool(carry)`, which is [batch, size].

    Args:
        scale: Standard deviation of the first weights.
        has_norm: Whether the pooled row is normalised first.
    """
    norm = (Parameter("norm_scale", (size,), fill=1.0), Parameter("norm_shift", (size,)))
    own = tuple(
        parameter
        for head in heads
        for parameter in (
            Parameter(f"{head.name}/weight", (size, head.width), scale=scale),
            Parameter(f"{head.name}/bias", (head.width,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:  # noqa: ARG001
        row = pool(carry)
        if has_norm:
            row = layer_norm(row, p["norm_scale"], p["norm_shift"])
        return {
            head.name: linear(row, p[f"{head.name}/weight"], p[f"{head.name}/bias"])
            for head in heads
        }

    return stateless("heads", Layout((*norm, *own) if has_norm else own), apply)


def sequence_heads(
    inputs: InputSpec,
    size: int,
    heads: tuple[HeadSpec, ...],
    pool: Callable[[Carry], Array],
    *,
    has_norm: bool = False,
) -> Layer:
    """All heads over `pool(carry)` and, where a row has features of its own, over those too.

    Beside features the sequence's part starts at zero, so that training starts from plain
    (logistic) regression and the sequence only has to earn what it adds.
    """
    features = inputs.width("features")
    rows = linear_heads(
        size, heads, pool, scale=0.0 if features else sqrt(1.0 / size), has_norm=has_norm
    )
    if not features:
        return rows
    beside = tuple(Parameter(f"{head.name}/features", (features, head.width)) for head in heads)
    own, both = Layout(beside), Layout((*rows.layout.parameters, *beside))

    def apply(flat: Array, state: Array, carry: Carry, step: Step) -> tuple[Carry, Array]:
        said, _ = rows.apply(flat[: rows.layout.size], state, carry, step)
        p = own.unpack(flat[rows.layout.size :])
        return {
            name: value + linear(carry["features"], p[f"{name}/features"])
            for name, value in said.items()
        }, state

    return Layer(rows.name, both, apply)
