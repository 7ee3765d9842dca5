"""Numbers come back as exactly as their form on the wire promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.training.engine import FitConfig
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.wire import Encoder, Wire, decode
from services.training.models import MlpConfig, table
from shared.errors import InvalidArgumentError
from tests.support.model_suite import HEADS, loss, random_rows

FLOATS = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
PIECES = arrays.arrays(np.float32, st.sampled_from([0, 1, 33]), elements=FLOATS)
FLOAT32 = np.dtype(np.float32)


def sent(encoder, wire, numbers):
    return decode(wire, encoder.encode(wire, 0, 0, numbers), FLOAT32)


@settings(deadline=None)  # the first of a size is compiled
@given(PIECES)
def test_float32_keeps_every_bit(numbers):
    assert sent(Encoder(), Wire.FLOAT32, numbers).tobytes() == numbers.tobytes()


@settings(deadline=None)  # the first of a size is compiled
@given(PIECES)
def test_bfloat16_keeps_eight_bits_in_half_the_bytes(numbers):
    assert len(Encoder().encode(Wire.BFLOAT16, 0, 0, numbers)) == 2 * len(numbers)
    read = sent(Encoder(), Wire.BFLOAT16, numbers)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, numbers, rtol=2.0**-8, atol=1e-37)


@settings(deadline=None)  # the first of a size is compiled
@given(PIECES)
def test_int8_is_a_127th_of_the_largest_off_at_most(numbers):
    read = sent(Encoder(), Wire.INT8, numbers)
    step = np.abs(numbers).max(initial=0) / 127
    np.testing.assert_allclose(read, numbers, rtol=0, atol=0.51 * step + 1e-30)


def test_what_int8_rounds_away_is_made_up_for_later():
    rng = np.random.default_rng(0)
    encoder, total_sent, total = Encoder(), np.zeros(64), np.zeros(64)
    for _ in range(300):
        numbers = rng.standard_normal(64).astype(np.float32)
        total += numbers
        total_sent += sent(encoder, Wire.INT8, numbers)
    # Without memory 300 roundings of up to 0.015 would add up to about 0.15.
    assert np.abs(total_sent - total).max() < 0.04


def test_a_small_constant_gradient_beside_a_large_one_is_not_lost():
    encoder, arrived = Encoder(), 0.0
    for _ in range(1000):
        arrived += sent(encoder, Wire.INT8, np.array([1.0, 1e-3], np.float32))[1]
    assert arrived == pytest.approx(1.0, abs=0.01)


def test_values_after_int8_gradients_travel_as_bfloat16():
    assert [wire.of_values.name for wire in Wire] == ["FLOAT32", "BFLOAT16", "BFLOAT16"]


def test_a_fit_in_float64_refuses_to_round_on_the_way():
    layers = MlpConfig(width=8, blocks=1).build(table(4), HEADS)
    with pytest.raises(InvalidArgumentError, match=r"sharing\.wire"):
        Job(
            layers,
            loss,
            random_rows(table(4), 8, 0),
            FitConfig(precision="float64"),
            0,
            Sharing(wire=Wire.BFLOAT16),
        )
