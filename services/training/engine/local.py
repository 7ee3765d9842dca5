"""A fit: compiled steps of any runtime, driven by a Python loop over rows in memory."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.fitting import (
    EpochReport,
    FitConfig,
    FitResult,
    Objective,
    Pace,
)
from services.training.engine.layers import Weights, init_weights
from services.training.engine.optimizers import optimizers, rate_steps
from services.training.engine.rows import (
    Arrays,
    Batch,
    Plan,
    ahead,
    plan_epoch,
    plan_in_order,
    take,
)
from services.training.engine.runtimes import (
    Compiled,
    FusedRuntime,
    LeanRuntime,
    Placement,
    Runtime,
    Sums,
)
from services.training.engine.spmd import OnMesh, SpmdRuntime, data_mesh, exchange_for
from services.training.engine.standing import EpochOutcome, Standing, StandingStore
from services.training.engine.step import (
    DeviceBatch,
    TrainState,
    evaluation,
    init_state,
    mean_loss,
)
from services.training.models import LayerList
from shared.errors import CancelledError, InvalidArgumentError

Array = jax.Array

_PACE_SECONDS = 1.0


def fit(
    layers: LayerList,
    objective: Objective,
    train: Arrays,
    valid: Arrays,
    config: FitConfig,
    *,
    seed: int,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
    on_pace: Callable[[Pace], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoints: StandingStore | None = None,
) -> FitResult:
    """One fit by a `Fitter` of its own."""
    return Fitter(layers, objective, config).fit(
        train,
        valid,
        seed=seed,
        on_epoch=on_epoch,
        on_pace=on_pace,
        should_stop=should_stop,
        checkpoints=checkpoints,
    )


class Fitter:
    """Fits one model to any rows; a later fit of like shape finds the programs of an earlier one.

    Several threads may fit at once.
    """

    def __init__(self, layers: LayerList, objective: Objective, config: FitConfig) -> None:
        self._layers, self._objective, self._config = layers, objective, config
        self._programs: dict[int, _Programs] = {}

    def fit(
        self,
        train: Arrays,
        valid: Arrays,
        *,
        seed: int,
        learned: Weights | None = None,
        on_epoch: Callable[[EpochReport], None] = lambda _: None,
        on_pace: Callable[[Pace], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
        checkpoints: StandingStore | None = None,
    ) -> FitResult:
        """Train until the epochs are over or the validation loss has stopped falling.

        Without validation rows the last weights are the result. The same rows, config and seed
        give the same weights on the same machine with the same number of threads; so does a fit
        that was killed and is called again with the same `checkpoints`.

        Args:
            train: Rows to learn from.
            valid: Rows to stop on.
            seed: Of first weights, the order of rows and dropout.
            learned: Vectors of some layers to start from instead of drawn ones.
            on_epoch: Hears every epoch, also those that a fit now gone on with had done before.
            on_pace: Hears about once a second how fast it goes.
            should_stop: Asked before every step.
            checkpoints: Where to keep how far it has come, and to go on from.

        Raises:
            InvalidArgumentError: There are no training rows, or the loss is no longer finite.
            CancelledError: `should_stop` said so.
        """
        if not len(train):
            raise InvalidArgumentError("there are no rows to train on", reason="NO_TRAINING_ROWS")
        config = self._config
        with numbers(config):
            size = fitting_batch_size(config, len(train))
            steps = len(plan_epoch(train, size, seed, 0)) * config.epochs
            programs = self._programs_for(rate_steps(config.optimizer, steps))
            fitting = _Fit(programs, train, valid, config, seed, learned or {}, size, on_pace)
            return fitting.run(on_epoch, should_stop, checkpoints)

    def _programs_for(self, steps: int) -> "_Programs":
        """The programs of fits whose learning rate runs over so many steps."""
        if steps not in self._programs:
            self._programs[steps] = _Programs(self._layers, self._objective, self._config, steps)
        return self._programs[steps]


class _Programs:
    """What is compiled for fits of one model: nothing in it depends on rows or seed."""

    def __init__(
        self, layers: LayerList, objective: Objective, config: FitConfig, steps: int
    ) -> None:
        self._layers, self._config = layers, config
        self._transforms = optimizers(config.optimizer, layers, steps)
        self.runtime: Runtime
        self.lying: Placement
        if config.mode == "spmd":
            mesh = data_mesh()
            exchange = exchange_for(layers, mesh)
            self.runtime = SpmdRuntime(layers, objective, config, steps, mesh, exchange)
            self.lying = OnMesh(mesh, exchange)
        else:
            kind = FusedRuntime if config.mode == "fused" else LeanRuntime
            self.runtime = kind(layers, objective, config, self._transforms)
            self.lying = OneDevice()
        sums = self.lying.over_all_rows(evaluation(layers, objective, config))
        self.evaluate: Sums = Compiled(sums)

    def start(self, seed: int, learned: Weights) -> Standing:
        """Before the first step."""
        weights = widen(init_weights(self._layers, seed, learned), self._config)
        best = jax.tree.map(jnp.copy, weights)  # the first step takes the buffers of the state
        return Standing(init_state(weights, self._transforms), best)


class _Fit:
    """One fit: what stays the same from epoch to epoch."""

    def __init__(
        self,
        programs: _Programs,
        train: Arrays,
        valid: Arrays,
        config: FitConfig,
        seed: int,
        learned: Weights,
        size: int,
        on_pace: Callable[[Pace], None],
    ) -> None:
        self._train, self._valid, self._config, self._seed = train, valid, config, seed
        self._size = size
        self._runtime, self._lying = programs.runtime, programs.lying
        self._evaluate = programs.evaluate
        self._start = programs.start(seed, learned)
        self._on_pace = on_pace

    def run(
        self,
        on_epoch: Callable[[EpochReport], None],
        should_stop: Callable[[], bool],
        checkpoints: StandingStore | None,
    ) -> FitResult:
        """All epochs that are left."""
        checkpoints = checkpoints and self._lying.keeping(checkpoints)
        standing = (checkpoints and checkpoints.latest(self._start)) or self._start
        standing = replace(standing, state=self._lying.place(standing.state))
        for report in standing.history:
            on_epoch(report)
        while not standing.has_ended(self._config):
            standing = self._epoch(standing, should_stop, checkpoints)
            if checkpoints and checkpoints.is_due():
                checkpoints.save(standing)
            on_epoch(standing.history[-1])
        if checkpoints:
            checkpoints.wait()
        return standing.result()

    def _epoch(
        self,
        standing: Standing,
        should_stop: Callable[[], bool],
        checkpoints: StandingStore | None,
    ) -> Standing:
        state, epoch, done = standing.state, standing.epoch, len(standing.losses)
        losses: list[Array | float] = [*standing.losses]
        seed = jnp.asarray(self._seed, jnp.uint32)
        started = time.perf_counter()
        meter = _Meter(epoch, self._size, self._on_pace)
        plans = plan_epoch(self._train, self._size, self._seed, epoch)
        for batch in ahead(lambda plan: self._batch(self._train, plan), plans[done:]):
            if should_stop():
                raise CancelledError("training was stopped", reason="TRAINING_CANCELLED")
            state, loss = self._runtime.step(state, batch, seed)
            losses.append(loss)
            meter.tell(len(losses), loss)
            if checkpoints and len(losses) < len(plans) and checkpoints.is_due():
                so_far = tuple(float(loss) for loss in losses)
                checkpoints.save(replace(standing, state=state, losses=so_far))
        train_loss = float(np.mean([float(loss) for loss in losses]))
        seconds = time.perf_counter() - started
        loss_now = self._validation_loss(state.weights) if len(self._valid) else None
        speed = (len(plans) - done) / seconds
        return standing.after_epoch(
            state,
            EpochOutcome(train_loss, loss_now, speed, speed * self._size),
            self._config.min_improvement,
            # Copied, because the next step takes the state's own buffers.
            lambda: jax.tree.map(jnp.copy, self._lying.whole(state).weights),
        )

    def _validation_loss(self, weights: Weights) -> float:
        plans = plan_in_order(self._valid, self._size)
        return mean_loss(self._evaluate, weights, (self._batch(self._valid, p) for p in plans))

    def _batch(self, arrays: Arrays, plan: Plan) -> DeviceBatch:
        with numbers(self._config):  # the thread that makes batches has a context of its own
            return self._lying.batch(
                self._size,
                lambda part: widen_batch(take(arrays, plan, self._size, part), self._config),
            )


class _Meter:
    """Tells within an epoch how fast its steps go, about once a second."""

    def __init__(self, epoch: int, size: int, on_pace: Callable[[Pace], None]) -> None:
        self._epoch, self._size, self._on_pace = epoch, size, on_pace
        self._started, self._done = time.perf_counter(), 0

    def tell(self, step: int, loss: Array) -> None:
        """A step was asked for; its loss may not be there yet."""
        self._done += 1
        if time.perf_counter() - self._started < _PACE_SECONDS:
            return
        loss.block_until_ready()  # else steps that are only queued would count as done
        now = time.perf_counter()
        speed = self._done / (now - self._started)
        self._on_pace(Pace(self._epoch, step, speed, speed * self._size))
        self._started, self._done = now, 0


class OneDevice:
    """All rows and the whole state on one device."""

    def batch(self, size: int, read: Callable[[slice], Batch]) -> DeviceBatch:
        """The whole batch as device arrays."""
        return to_device(read(slice(0, size)))

    def place(self, state: TrainState) -> TrainState:
        """As it is."""
        return state

    def whole(self, state: TrainState) -> TrainState:
        """As it is."""
        return state

    def over_all_rows(self, sums: Sums) -> Sums:
        """As they are."""
        return sums

    def keeping(self, store: StandingStore) -> StandingStore:
        """As it is."""
        return store


def numbers(config: FitConfig) -> AbstractContextManager[Any]:
    """Where float64 is asked for, a context in which JAX has it."""
    return jax.enable_x64(True) if config.precision == "float64" else nullcontext()


def to_device(batch: Batch) -> DeviceBatch:
    """The batch as device arrays."""
    inputs, targets, weights = jax.device_put((batch.inputs, batch.targets, batch.weights))
    return DeviceBatch(inputs, targets, weights)


def widen(arrays: Mapping[str, Any], config: FitConfig) -> dict[str, Any]:
    """Floats as float64 where the fit is in float64; else as they are."""
    if config.precision != "float64":
        return dict(arrays)
    return {
        name: array.astype("float64") if array.dtype.kind == "f" else array
        for name, array in arrays.items()
    }


def widen_batch(batch: Batch, config: FitConfig) -> Batch:
    """`widen` for every part of a batch."""
    weights = widen({"weights": batch.weights}, config)["weights"]
    return Batch(widen(batch.inputs, config), widen(batch.targets, config), weights)


def fitting_batch_size(config: FitConfig, count: int) -> int:
    """The batch size, made smaller where there are fewer rows than one batch."""
    parts = math.ceil(min(config.batch_size, count) / config.micro_batches)
    return parts * config.micro_batches
