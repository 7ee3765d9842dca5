"""The `local` runtime: one device, compiled steps driven by a Python loop over rows in memory."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.fitting import EpochReport, FitConfig, FitResult, Objective
from services.training.engine.layers import Weights, init_weights
from services.training.engine.optimizers import optimizers
from services.training.engine.rows import (
    Arrays,
    Batch,
    Plan,
    ahead,
    plan_epoch,
    plan_in_order,
    take,
)
from services.training.engine.runtimes import Compiled, FusedRuntime, LeanRuntime, Runtime
from services.training.engine.standing import Standing, StandingStore
from services.training.engine.step import DeviceBatch, evaluation, init_state
from services.training.models import LayerList
from shared.errors import CancelledError, InvalidArgumentError

Array = jax.Array
Evaluate = Callable[[Weights, DeviceBatch], tuple[Array, Array]]


def fit(
    layers: LayerList,
    objective: Objective,
    train: Arrays,
    valid: Arrays,
    config: FitConfig,
    *,
    seed: int,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoints: StandingStore | None = None,
) -> FitResult:
    """Train until the epochs are over or the validation loss has stopped falling.

    Without validation rows the last weights are the result. The same rows, config and seed give
    the same weights on the same machine with the same number of threads; so does a fit that was
    killed and is called again with the same `checkpoints`.

    Raises:
        InvalidArgumentError: There are no training rows, or the loss is no longer finite.
        CancelledError: `should_stop` said so.
    """
    if not len(train):
        raise InvalidArgumentError("there are no rows to train on", reason="NO_TRAINING_ROWS")
    with numbers(config):
        fitting = _Fit(layers, objective, train, valid, config, seed)
        return fitting.run(on_epoch, should_stop, checkpoints)


class _Fit:
    """One call of `fit`: what stays the same from epoch to epoch."""

    def __init__(
        self,
        layers: LayerList,
        objective: Objective,
        train: Arrays,
        valid: Arrays,
        config: FitConfig,
        seed: int,
    ) -> None:
        self._train, self._valid, self._config, self._seed = train, valid, config, seed
        self._size = fitting_batch_size(config, len(train))
        steps = len(plan_epoch(train, self._size, seed, 0)) * config.epochs
        transforms = optimizers(config.optimizer, layers, steps)
        kind = FusedRuntime if config.mode == "fused" else LeanRuntime
        self._runtime: Runtime = kind(layers, objective, config, transforms)
        self._evaluate: Evaluate = Compiled(evaluation(layers, objective, config))
        weights = widen(init_weights(layers, seed), config)
        best = jax.tree.map(jnp.copy, weights)  # the first step takes the buffers of the state
        self._start = Standing(init_state(weights, transforms), best)

    def run(
        self,
        on_epoch: Callable[[EpochReport], None],
        should_stop: Callable[[], bool],
        checkpoints: StandingStore | None,
    ) -> FitResult:
        """All epochs that are left."""
        standing = (checkpoints and checkpoints.latest(self._start)) or self._start
        while standing.epoch < self._config.epochs and not self._has_converged(standing):
            standing = self._epoch(standing, should_stop, checkpoints)
            if checkpoints:
                checkpoints.save(standing)
            on_epoch(standing.history[-1])
        if checkpoints:
            checkpoints.wait()
        speed = float(np.median([report.steps_per_second for report in standing.history]))
        return FitResult(standing.best, standing.history, standing.best_epoch, speed)

    def _has_converged(self, standing: Standing) -> bool:
        patience = self._config.patience
        return bool(patience) and standing.epoch - standing.best_epoch > patience

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
        plans = plan_epoch(self._train, self._size, self._seed, epoch)
        for batch in ahead(lambda plan: self._batch(self._train, plan), plans[done:]):
            if should_stop():
                raise CancelledError("training was stopped", reason="TRAINING_CANCELLED")
            state, loss = self._runtime.step(state, batch, seed)
            losses.append(loss)
            is_due = checkpoints and len(losses) % checkpoints.every_steps == 0
            if checkpoints and is_due and len(losses) < len(plans):
                so_far = tuple(float(loss) for loss in losses)
                checkpoints.save(replace(standing, state=state, losses=so_far))
        train_loss = float(np.mean([float(loss) for loss in losses]))
        seconds = time.perf_counter() - started
        loss_now = self._validation_loss(state.weights) if len(self._valid) else train_loss
        _require_finite(loss_now, epoch)
        improvement = standing.best_loss - loss_now
        is_best = not len(self._valid) or improvement > self._config.min_improvement
        speed = (len(plans) - done) / seconds
        report = EpochReport(epoch, train_loss, loss_now, is_best, speed, speed * self._size)
        history = (*standing.history, report)
        after = replace(standing, state=state, epoch=epoch + 1, losses=(), history=history)
        if not is_best:
            return after
        # Copied, because the next step takes the state's own buffers.
        best = jax.tree.map(jnp.copy, state.weights)
        return replace(after, best=best, best_loss=loss_now, best_epoch=epoch)

    def _validation_loss(self, weights: Weights) -> float:
        total, mass = 0.0, 0.0
        for plan in plan_in_order(self._valid, self._size):
            loss, weight = self._evaluate(weights, self._batch(self._valid, plan))
            total, mass = total + float(loss), mass + float(weight)
        return total / max(mass, 1e-12)

    def _batch(self, arrays: Arrays, plan: Plan) -> DeviceBatch:
        with numbers(self._config):  # the thread that makes batches has a context of its own
            return to_device(widen_batch(take(arrays, plan, self._size), self._config))


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


def _require_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise InvalidArgumentError(
            f"the loss became {loss} in epoch {epoch}; lower optimizer.learning_rate "
            "or check the features for extreme values",
            reason="LOSS_NOT_FINITE",
            epoch=epoch,
            loss=loss,
        )
