"""Where a step's time goes: seconds per layer, as a Perfetto trace and as a small chart."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from services.training.engine.fitting import Objective
from services.training.engine.layers import Precision, Weights
from services.training.engine.layerwise import LayerPrograms, Program
from services.training.engine.step import DeviceBatch
from services.training.models import LayerList

Array = jax.Array


@dataclass(frozen=True)
class LayerTime:
    """Median seconds of one layer for one batch, each program awaited by itself."""

    name: str
    parameter_count: int
    forward_seconds: float
    backward_seconds: float


def time_layers(
    layers: LayerList,
    objective: Objective,
    weights: Weights,
    batch: DeviceBatch,
    *,
    repeats: int = 5,
    precision: Precision = "float32",
    clock: Callable[[], float] = time.perf_counter,
) -> list[LayerTime]:
    """Run the batch layer by layer `repeats` times, after one run that compiles."""
    seconds: defaultdict[tuple[int, str], list[float]] = defaultdict(list)

    def timed(number: int, kind: str, program: Program) -> Program:
        def call(*arguments: Any) -> Any:
            started = clock()
            result = program(*arguments)
            for leaf in jax.tree.leaves(result):
                leaf.block_until_ready()
            seconds[number, kind].append(clock() - started)
            return result

        return call

    programs = LayerPrograms(layers, objective, precision, wrap=timed)
    scale = 1.0 / jnp.maximum(batch.weights.sum(), 1e-12)
    for _ in range(repeats + 1):
        passed = programs.forward(weights, batch, scale, jnp.zeros(2, jnp.uint32))
        programs.backward(passed, lambda _number, _gradient: None)
    return [
        LayerTime(
            layer.name,
            layer.layout.size,
            statistics.median(seconds[number, "forward"][1:]),
            sum(
                statistics.median(seconds[number, kind][1:])
                for kind in ("backward", "carry")
                if (number, kind) in seconds
            ),
        )
        for number, layer in enumerate(layers)
    ]


def perfetto_trace(times: Sequence[LayerTime]) -> dict[str, Any]:
    """One step, forward up and back down, in the trace format that ui.perfetto.dev opens."""
    events: list[dict[str, Any]] = []
    at = 0.0
    forward = [(t, "forward", t.forward_seconds) for t in times]
    backward = [(t, "backward", t.backward_seconds) for t in reversed(times)]
    for layer, kind, seconds in forward + backward:
        events.append(
            {
                "name": layer.name,
                "cat": kind,
                "ph": "X",
                "ts": at * 1e6,
                "dur": seconds * 1e6,
                "pid": 1,
                "tid": 1,
                "args": {"pass": kind, "parameters": layer.parameter_count},
            }
        )
        at += seconds
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def layer_chart(times: Sequence[LayerTime]) -> dict[str, Any]:
    """A Vega-Lite bar chart of milliseconds per layer, forward and backward."""
    values = [
        {"layer": t.name, "pass": kind, "milliseconds": 1e3 * seconds}
        for t in times
        for kind, seconds in (("forward", t.forward_seconds), ("backward", t.backward_seconds))
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": "Time per layer",
        "data": {"values": values},
        "mark": "bar",
        "encoding": {
            "y": {"field": "layer", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "milliseconds", "type": "quantitative", "title": "ms a step"},
            "color": {"field": "pass", "type": "nominal", "sort": None, "title": None},
        },
    }
