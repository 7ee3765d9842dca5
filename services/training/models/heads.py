"""The last layer of a model: every head is a linear map of one pooled row."""

from collections.abc import Callable, Mapping

from services.training.models.layer import (
    Array,
    Carry,
    HeadSpec,
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
