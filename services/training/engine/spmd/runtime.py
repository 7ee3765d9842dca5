"""The `spmd` runtime: one program on every device of a mesh, on one host or many."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from services.training.engine.fitting import FitConfig, Objective
from services.training.engine.optimizers import optimizers
from services.training.engine.runtimes import Compiled
from services.training.engine.spmd.collectives import BY_DEVICE, EVERYWHERE
from services.training.engine.spmd.exchange import Exchange, require_safe
from services.training.engine.spmd.steps import fused_step, sharded_step
from services.training.engine.step import DeviceBatch, TrainState
from services.training.models import LayerList
from shared.errors import InvalidArgumentError

Array = jax.Array


class SpmdRuntime:
    """Each device computes its share of the micro-batches; the gradients meet in collectives.

    Args:
        total_steps: Steps of the whole run, for the schedule of the learning rate.
        exchange: "fused" is one all-reduce a step; "sharded" is, for each layer on the way back, a
            reduce-scatter, the owner's update of its share, and an all-gather.

    Raises:
        InvalidArgumentError: The micro-batches do not divide over the devices.
        FailedPreconditionError: The exchange is not safe on these devices.
    """

    def __init__(
        self,
        layers: LayerList,
        objective: Objective,
        config: FitConfig,
        total_steps: int,
        mesh: Mesh,
        exchange: Exchange,
    ) -> None:
        _require_even(config.micro_batches, mesh.devices.size)
        require_safe(exchange, mesh)
        transforms = optimizers(config.optimizer, layers, total_steps)
        if exchange == "fused":
            step = fused_step(layers, objective, config, transforms)
            owned: Any = EVERYWHERE
        else:
            step = sharded_step(layers, objective, config, total_steps)
            owned = {
                layer.name: jax.tree.map(
                    lambda leaf: BY_DEVICE if leaf.ndim else EVERYWHERE,
                    jax.eval_shape(transforms[layer.name].init, jnp.zeros(layer.layout.size)),
                )
                for layer in layers
            }
        state = TrainState(EVERYWHERE, owned, EVERYWHERE)
        mapped = jax.shard_map(
            step,
            mesh=mesh,
            in_specs=(state, BY_DEVICE, EVERYWHERE),
            out_specs=(state, EVERYWHERE),
            # The check would sum gradients of its own accord; here every sum is asked for.
            check_vma=False,
        )
        self._step = Compiled(mapped, donate=(0,))
        self._is_awaited = mesh.devices.flat[0].platform == "cpu"

    def step(self, state: TrainState, batch: DeviceBatch, seed: Array) -> tuple[TrainState, Array]:
        """One call of one program on every device; every process calls it with its own rows."""
        after, loss = self._step(state, batch, seed)
        if self._is_awaited:
            # Two steps under way at once would wait for one another's threads for ever.
            loss.block_until_ready()
        return after, loss


def _require_even(micro_batches: int, devices: int) -> None:
    if micro_batches % devices:
        raise InvalidArgumentError(
            f"micro_batches {micro_batches} does not divide over {devices} devices; "
            f"set micro_batches to {-(-micro_batches // devices) * devices}, or another multiple",
            reason="MICRO_BATCHES_UNEVEN",
            micro_batches=micro_batches,
            devices=devices,
        )
