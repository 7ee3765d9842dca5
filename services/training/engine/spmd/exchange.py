"""How the devices of a mesh bring their gradients together, and where which way is safe."""

from typing import Literal

import jax
from jax.sharding import Mesh

from services.training.models import LayerList
from shared.errors import FailedPreconditionError

Exchange = Literal["fused", "sharded"]
"""One all-reduce a step, or reduce-scatter and all-gather layer by layer."""

# Below this a step's whole gradient takes no longer on the wire than a collective takes to start,
# so that many collectives can only lose. An estimate for NVLink and InfiniBand, not measured.
SMALL_MODEL_PARAMETERS = 1_000_000


def exchange_for(layers: LayerList, mesh: Mesh) -> Exchange:
    """The way that is right for a model on these devices: always "fused" on CPUs."""
    parameters = sum(layer.layout.size for layer in layers)
    is_small = parameters < SMALL_MODEL_PARAMETERS
    return "fused" if is_small or _platform(mesh) == "cpu" else "sharded"


def require_safe(exchange: Exchange, mesh: Mesh) -> None:
    """Refuse the layer-wise exchange where its values cannot be trusted.

    Raises:
        FailedPreconditionError: CPUs of a group would reduce-scatter through gloo, which returns
            wrong numbers without an error.
    """
    # A group's CPU collectives go through gloo, even among the devices of one process.
    if exchange == "sharded" and _platform(mesh) == "cpu" and jax.distributed.is_initialized():
        raise FailedPreconditionError(
            "a group of CPU processes cannot exchange gradients layer by layer: reduce-scatter "
            "over gloo returns wrong values without an error; use the fused exchange, "
            "or the ps runtime",
            reason="REDUCE_SCATTER_ON_CPU_GROUP",
        )


def _platform(mesh: Mesh) -> str:
    platform: str = mesh.devices.flat[0].platform
    return platform
