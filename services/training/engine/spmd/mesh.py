"""Where state and rows lie on a mesh of devices, and how they come back whole."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from services.training.engine.layers import Weights
from services.training.engine.optimizers import OptimizerState
from services.training.engine.rows import Batch
from services.training.engine.runtimes import Sums
from services.training.engine.spmd.collectives import (
    AXIS,
    BY_DEVICE,
    EVERYWHERE,
    fused_sum,
    share_size,
)
from services.training.engine.spmd.exchange import Exchange
from services.training.engine.spmd.keeping import GroupStore
from services.training.engine.standing import StandingStore
from services.training.engine.step import DeviceBatch, TrainState

Array = jax.Array


def data_mesh() -> Mesh:
    """All devices of all processes in a row, in the order of their processes."""
    return Mesh(np.array(jax.devices()), (AXIS,))


class OnMesh:
    """Rows cut evenly over the devices, weights on each of them.

    Args:
        exchange: "sharded" leaves each device its share of the optimizer state, "fused" gives
            every device all of it.
    """

    def __init__(self, mesh: Mesh, exchange: Exchange) -> None:
        self._mesh, self._exchange = mesh, exchange
        self._everywhere = NamedSharding(mesh, EVERYWHERE)
        self._cut = NamedSharding(mesh, BY_DEVICE)
        self._gather = jax.jit(lambda tree: tree, out_shardings=self._everywhere)

    def batch(self, size: int, read: Callable[[slice], Batch]) -> DeviceBatch:
        """The rows of this process's devices, as its part of the whole group's batch."""
        batch = read(self._rows(size))
        make: Any = jax.make_array_from_process_local_data
        inputs, targets, weights = jax.tree.map(
            partial(make, self._cut), (batch.inputs, batch.targets, batch.weights)
        )
        return DeviceBatch(inputs, targets, weights)

    def place(self, state: TrainState) -> TrainState:
        """A state of whole vectors, the same in every process, onto the devices."""
        optimizer = {
            name: jax.tree.map(self._put_owned, each) for name, each in state.optimizer.items()
        }
        weights = jax.tree.map(self._put_everywhere, state.weights)
        return TrainState(weights, optimizer, self._put_everywhere(state.step))

    def whole(self, state: TrainState) -> TrainState:
        """The state as whole vectors on a device of this process; all processes ask together."""
        weights, optimizer, step = jax.tree.map(
            lambda array: array.addressable_data(0), self._gather(tuple(state))
        )
        return TrainState(weights, _cut_filling(optimizer, weights), step)

    def over_all_rows(self, sums: Sums) -> Sums:
        """`sums` of each device's rows, added up over all devices."""
        mapped: Sums = jax.shard_map(
            lambda weights, batch: fused_sum(sums(weights, batch)),
            mesh=self._mesh,
            in_specs=(EVERYWHERE, BY_DEVICE),
            out_specs=EVERYWHERE,
            check_vma=False,
        )
        return mapped

    def keeping(self, store: StandingStore) -> StandingStore:
        """Whole standings, saved by all processes at the same step."""
        return GroupStore(store, self.whole)

    def _rows(self, size: int) -> slice:
        """Which rows of a batch lie on this process's devices."""
        each = size // self._mesh.devices.size
        numbers = [device.process_index for device in self._mesh.devices.flat]
        mine = [at for at, number in enumerate(numbers) if number == jax.process_index()]
        return slice(mine[0] * each, (mine[-1] + 1) * each)

    def _put_everywhere(self, leaf: Array) -> Array:
        return _put(np.asarray(leaf), self._everywhere)

    def _put_owned(self, leaf: Array) -> Array:
        """An optimizer's vector in shares, filled up with zeros; its counters everywhere."""
        if self._exchange == "fused" or not leaf.ndim:
            return self._put_everywhere(leaf)
        devices = self._mesh.devices.size
        filling = share_size(leaf.size, devices) * devices - leaf.size
        return _put(np.pad(np.asarray(leaf), (0, filling)), self._cut)


def _put(whole: Any, sharding: NamedSharding) -> Array:
    # Copied, because a step takes the buffers of its state, which may be the host array's own.
    return jax.make_array_from_callback(whole.shape, sharding, lambda at: np.array(whole[at]))


def _cut_filling(optimizer: OptimizerState, weights: Weights) -> OptimizerState:
    return {
        name: jax.tree.map(
            lambda leaf, size=weights[name].size: leaf[:size] if leaf.ndim else leaf, each
        )
        for name, each in optimizer.items()
    }
