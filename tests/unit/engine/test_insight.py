"""The time of every layer is measured and shown."""

import json
from itertools import count

import numpy as np
import pytest

from services.training.engine import init_weights
from services.training.engine.insight import LayerTime, layer_chart, perfetto_trace, time_layers
from services.training.engine.local import to_device
from services.training.engine.rows import Plan, take
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows

TIMES = [LayerTime("stem", 10, 0.002, 0.003), LayerTime("heads", 5, 0.001, 0.004)]


def test_every_layer_is_timed_forward_and_backward():
    layers = MlpConfig(width=8, blocks=1).build(table(6), HEADS)
    batch = to_device(take(random_rows(table(6), 4, 0), Plan(np.arange(4)), 4))
    ticks = count()
    times = time_layers(
        layers, loss, init_weights(layers, 0), batch, repeats=2, clock=lambda: float(next(ticks))
    )
    assert times == [LayerTime(layer.name, layer.layout.size, 1.0, 1.0) for layer in layers]


def test_the_trace_goes_up_through_the_layers_and_back_down():
    events = json.loads(json.dumps(perfetto_trace(TIMES)))["traceEvents"]
    assert [(e["name"], e["cat"]) for e in events] == [
        ("stem", "forward"),
        ("heads", "forward"),
        ("heads", "backward"),
        ("stem", "backward"),
    ]
    assert [e["ts"] for e in events] == pytest.approx([0, 2000, 3000, 7000])
    assert [e["dur"] for e in events] == pytest.approx([2000, 1000, 4000, 3000])


def test_the_chart_has_a_bar_for_each_pass_of_each_layer():
    values = layer_chart(TIMES)["data"]["values"]
    assert [(v["layer"], v["pass"], v["milliseconds"]) for v in values] == [
        ("stem", "forward", 2.0),
        ("stem", "backward", 3.0),
        ("heads", "forward", 1.0),
        ("heads", "backward", 4.0),
    ]
