"""The parts of `spmd` that one device is enough for; many are in the integration tests."""

import socket
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.sharding import Mesh, PartitionSpec

from services.training.engine import FitConfig, OptimizerConfig, fit, init_weights
from services.training.engine.optimizers import optimizers
from services.training.engine.rows import Plan, take
from services.training.engine.runtimes import LeanRuntime
from services.training.engine.spmd import (
    OnMesh,
    SpmdRuntime,
    data_mesh,
    exchange_for,
    join_group,
)
from services.training.engine.spmd.keeping import GroupStore
from services.training.engine.spmd.steps import sharded_step
from services.training.engine.standing import Standing
from services.training.engine.step import init_state
from services.training.models import MlpConfig, table
from shared.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from tests.support.model_suite import HEADS, loss, random_rows

LAYERS = MlpConfig(width=8, blocks=1).build(table(6), HEADS)
CONFIG = FitConfig(batch_size=8, micro_batches=2, optimizer=OptimizerConfig("lamb", 1e-2))


def state_of(config):
    transforms = optimizers(config.optimizer, LAYERS, 10)
    return init_state(init_weights(LAYERS, 0), transforms), transforms


def read(part):
    return take(random_rows(table(6), 8, 0), Plan(np.arange(7)), 8, part)


@pytest.mark.parametrize("exchange", ["fused", "sharded"])
def test_a_mesh_of_one_device_steps_as_the_reference_does(exchange):
    mesh, (state, transforms) = data_mesh(), state_of(CONFIG)
    lying = OnMesh(mesh, exchange)
    runtime = SpmdRuntime(LAYERS, loss, CONFIG, 10, mesh, exchange)
    seed, batch = jnp.uint32(3), lying.batch(8, read)
    placed, value = runtime.step(lying.place(state), batch, seed)
    reference = LeanRuntime(LAYERS, loss, CONFIG, transforms)
    expected, expected_value = reference.step(state, batch, seed)
    assert float(value) == pytest.approx(float(expected_value), rel=1e-6)
    got = lying.whole(placed)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("exchange", ["fused", "sharded"])
def test_a_placed_state_comes_back_as_it_was_and_leaves_the_one_given_alone(exchange):
    state, _ = state_of(CONFIG)
    before = jax.tree.map(np.array, state)
    lying = OnMesh(data_mesh(), exchange)
    runtime = SpmdRuntime(LAYERS, loss, CONFIG, 10, data_mesh(), exchange)
    back = lying.whole(lying.place(state))
    runtime.step(lying.place(state), lying.batch(8, read), jnp.uint32(0))
    jax.tree.map(np.testing.assert_array_equal, back, before)
    jax.tree.map(np.testing.assert_array_equal, state, before)


def test_a_fit_on_a_mesh_ends_where_a_fit_on_one_device_ends():
    rows, few = random_rows(table(6), 30, 0), random_rows(table(6), 5, 1)
    ends = [
        fit(LAYERS, loss, rows, few, FitConfig(batch_size=8, epochs=2, mode=mode), seed=1)
        for mode in ("fused", "spmd")
    ]
    for name, flat in ends[0].parameters.items():
        np.testing.assert_allclose(ends[1].parameters[name], flat, atol=1e-5)
    assert ends[1].history[-1].validation_loss == pytest.approx(ends[0].history[-1].validation_loss)


def operations(jaxpr, name):
    """Sizes of the arrays that an operation is given, in the order of the program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            yield tuple(given.aval.size for given in equation.invars)
        for inner in jaxprs_in_params(equation.params):
            yield from operations(inner, name)


def test_layers_are_pushed_and_pulled_one_by_one_and_the_last_first():
    mesh, (state, _) = data_mesh(), state_of(CONFIG)
    step = sharded_step(LAYERS, loss, CONFIG, 10)
    spec = PartitionSpec()
    mapped = jax.shard_map(step, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    batch = OnMesh(mesh, "sharded").batch(8, read)
    jaxpr = jax.make_jaxpr(mapped)(state, batch, jnp.uint32(0)).jaxpr
    sizes = [layer.layout.size for layer in reversed(LAYERS)]
    assert list(operations(jaxpr, "reduce_scatter")) == [(size,) for size in sizes]
    assert list(operations(jaxpr, "all_gather")) == [(size,) for size in sizes]
    # A push waits for the push before and a pull for the pull before. Models have barriers too.
    waits = [(size, before) for before, size in pairwise(sizes)]
    barriers = [each for each in operations(jaxpr, "optimization_barrier") if each in waits]
    assert barriers == [each for each in waits for _ in ("push", "pull")]


def test_cpus_always_exchange_in_one_all_reduce():
    big = MlpConfig(width=1024, blocks=2).build(table(6), HEADS)
    assert sum(layer.layout.size for layer in big) > 1_000_000
    assert exchange_for(big, data_mesh()) == "fused"


def test_micro_batches_that_do_not_divide_are_refused_with_the_next_number_that_does():
    mesh = Mesh(np.array(jax.devices() * 3), ("data",))
    with pytest.raises(InvalidArgumentError, match=r"micro_batches 2 .* 3 devices; .* to 3"):
        SpmdRuntime(LAYERS, loss, CONFIG, 10, mesh, "fused")


@pytest.mark.parametrize("address", ["", "host", "host:", "host:0", "host:70000", ":7801", "h:x"])
def test_a_coordinator_without_host_or_port_is_refused(address):
    with pytest.raises(InvalidArgumentError, match="host:port"):
        join_group(address, 2, 0)


@pytest.mark.parametrize(("count", "number"), [(2, 2), (2, -1), (0, 0)])
def test_a_process_number_outside_the_group_is_refused(count, number):
    with pytest.raises(InvalidArgumentError, match="number the processes from 0"):
        join_group("127.0.0.1:7801", count, number)


def test_joining_after_the_first_computation_is_refused():
    jnp.zeros(1).block_until_ready()
    with (
        socket.create_server(("127.0.0.1", 0)) as coordinator,
        pytest.raises(FailedPreconditionError, match="first of all"),
    ):
        join_group(f"127.0.0.1:{coordinator.getsockname()[1]}", 2, 1)


def test_a_coordinator_that_does_not_listen_is_named():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UnavailableError, match=f"no process 0 listens at {address}"):
        join_group(address, 2, 1, timeout_seconds=0)


def test_process_0_says_when_its_port_is_taken():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FailedPreconditionError, match=f"port {port} is taken"):
            join_group(f"127.0.0.1:{port}", 2, 0)


class Ticking:
    """A store whose save is due at each of process 0's questions that is in `due`."""

    def __init__(self, due):
        self.asked, self.saved, self._due = 0, [], due

    def is_due(self):
        self.asked += 1
        return self.asked in self._due

    def save(self, standing):
        self.saved.append(standing)

    def latest(self, fresh):
        return fresh

    def wait(self):
        return None


def test_processes_with_different_clocks_save_at_the_same_steps():
    said = []

    def speak(array):
        said.append(array)
        return array

    def clock(seconds_a_look):
        now = [0.0]

        def look():
            now[0] += seconds_a_look
            return now[0]

        return look

    first = GroupStore(Ticking({2, 3}), lambda state: state, speak, clock(0.01))
    steps_of_first = [step for step in range(40) if first.is_due()]
    heard = iter(said)
    second = GroupStore(Ticking({1}), lambda state: state, lambda _: next(heard), clock(70.0))
    assert [step for step in range(40) if second.is_due()] == steps_of_first
    assert steps_of_first == [2, 6]


def test_what_a_group_keeps_is_whole():
    store, (state, _) = Ticking(set()), state_of(CONFIG)
    group = GroupStore(store, lambda state: state._replace(step=state.step + 41))
    group.save(Standing(state, state.weights, epoch=5))
    (kept,) = store.saved
    assert (int(kept.state.step), kept.epoch) == (41, 5)
