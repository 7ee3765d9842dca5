"""Where the time of a run's steps goes: each layer timed, as numbers, a trace and a chart."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from services.training.engine import Arrays, Objective, init_weights
from services.training.engine.insight import (
    LayerTime,
    layer_chart,
    perfetto_trace,
    time_layers,
)
from services.training.engine.local import to_device
from services.training.engine.rows import Plan, take
from services.training.models import LayerList

TRACE_FILE = "trace.json"
"""Opens in ui.perfetto.dev."""

SPEC_FILE = "layers.vl.json"
"""The chart as a Vega-Lite spec."""

CHART_FILE = "layers.svg"
"""The chart as an image; only where vl-convert is installed."""


@dataclass(frozen=True)
class Sample:
    """A model and one batch of its rows."""

    layers: LayerList
    objective: Objective
    rows: Arrays


def timed(sample: Sample) -> list[LayerTime]:
    """Time each layer on the batch; how long it takes does not depend on the weights."""
    count = len(sample.rows)
    batch = to_device(take(sample.rows, Plan(np.arange(count)), count))
    return time_layers(sample.layers, sample.objective, init_weights(sample.layers, 0), batch)


def write_times(times: Sequence[LayerTime], write: Callable[[str, bytes], None]) -> None:
    """Give `write` the name and the content of each file."""
    spec = layer_chart(times)
    write(TRACE_FILE, json.dumps(perfetto_trace(times)).encode())
    write(SPEC_FILE, json.dumps(spec, indent=1).encode())
    try:
        import vl_convert
    except ImportError:  # it belongs to the reports, which a machine that only trains may lack
        return
    write(CHART_FILE, vl_convert.vegalite_to_svg(spec).encode())
