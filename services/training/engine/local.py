"""The `local` runtime: one device, an ahead-of-time compiled, donated step in a Python loop."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.fitting import EpochReport, FitConfig, FitResult, Objective
from services.training.engine.layers import Weights, init_weights
from services.training.engine.optimizers import optimizers
from services.training.engine.rows import Arrays, Batch, batches, epoch_order
from services.training.engine.step import (
    DeviceBatch,
    evaluation,
    init_state,
    train_step,
)
from services.training.models import LayerList
from shared.errors import CancelledError, InvalidArgumentError

Array = jax.Array


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
) -> FitResult:
    """Train until the epochs are over or the validation loss has stopped falling.

    Without validation rows the last weights are the result. The same rows, config and seed give
    the same weights on the same machine with the same number of threads.

    Raises:
        InvalidArgumentError: There are no training rows.
        CancelledError: `should_stop` said so.
    """
    if not len(train):
        raise InvalidArgumentError("there are no rows to train on", reason="NO_TRAINING_ROWS")
    size = _fitting_batch_size(config, len(train))
    steps_per_epoch = math.ceil(len(train) / size)
    transforms = optimizers(config.optimizer, layers, steps_per_epoch * config.epochs)
    state = init_state(init_weights(layers, seed), transforms)
    step = _Compiled(train_step(layers, objective, config, transforms), donate=(0,))
    evaluate = _Compiled(evaluation(layers, objective, config))
    device_seed = jnp.asarray(seed, jnp.uint32)

    best, best_loss, best_epoch = state.weights, math.inf, 0
    history: list[EpochReport] = []
    for epoch in range(config.epochs):
        losses: list[Array] = []
        order = epoch_order(len(train), seed, epoch)
        started = time.perf_counter()
        for batch in batches(train, order, size):
            if should_stop():
                raise CancelledError("training was stopped", reason="TRAINING_CANCELLED")
            # The step is dispatched, not awaited: the next batch is gathered while it runs.
            state, loss = step(state, to_device(batch), device_seed)
            losses.append(loss)
        train_loss = float(np.mean([float(loss) for loss in losses]))
        seconds = time.perf_counter() - started
        loss_now = mean_loss(evaluate, state.weights, valid, size) if len(valid) else train_loss
        _require_finite(loss_now, epoch)
        is_best = not len(valid) or loss_now < best_loss - config.min_improvement
        if is_best:
            best, best_loss, best_epoch = jax.tree.map(jnp.copy, state.weights), loss_now, epoch
        report = EpochReport(
            epoch, train_loss, loss_now, is_best, len(losses) / seconds, len(train) / seconds
        )
        history.append(report)
        on_epoch(report)
        if config.patience and epoch - best_epoch >= config.patience:
            break
    speed = float(np.median([report.steps_per_second for report in history]))
    return FitResult(best, tuple(history), best_epoch, speed)


def mean_loss(
    evaluate: Callable[[Weights, DeviceBatch], tuple[Array, Array]],
    weights: Weights,
    rows: Arrays,
    size: int,
) -> float:
    """Mean loss over row weights, summed in the rows' order in double precision."""
    total, weight = 0.0, 0.0
    for batch in batches(rows, np.arange(len(rows)), size):
        loss, mass = evaluate(weights, to_device(batch))
        total, weight = total + float(loss), weight + float(mass)
    return total / max(weight, 1e-12)


def to_device(batch: Batch) -> DeviceBatch:
    """The batch as device arrays."""
    inputs, targets, weights = jax.device_put((batch.inputs, batch.targets, batch.weights))
    return DeviceBatch(inputs, targets, weights)


class _Compiled:
    """A function compiled ahead of time once for every shape of its arguments."""

    def __init__(self, function: Callable[..., Any], donate: tuple[int, ...] = ()) -> None:
        self._jitted = jax.jit(function, donate_argnums=donate)
        self._programs: dict[Any, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        signature = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(arguments[1]))
        if signature not in self._programs:
            self._programs[signature] = self._jitted.lower(*arguments).compile()
        return self._programs[signature](*arguments)


def _fitting_batch_size(config: FitConfig, count: int) -> int:
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


__all__ = ["fit", "mean_loss", "to_device"]
