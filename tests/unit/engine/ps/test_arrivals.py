"""A worker computes with the values that its mode allows, and with no others."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from services.training.engine import FitConfig, OptimizerConfig
from services.training.engine.ps.arrivals import (
    ExactArrivals,
    LatestArrivals,
    OvertakenError,
    PreemptedError,
)
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.messages import Header, Kind
from services.training.engine.ps.wire import Encoder, Wire
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows

LAYERS = MlpConfig(width=8, blocks=1).build(table(4), HEADS)
CONFIG = FitConfig(batch_size=8, mode="lean", optimizer=OptimizerConfig(clip_norm=None))
JOB = Job(LAYERS, loss, random_rows(table(4), 8, 0), CONFIG, 0)
SIZES = [vector.size for vector in JOB.vectors]
PATIENCE = 20


def numbers(vector, version):
    return np.full(SIZES[vector], 10 * version + vector, np.float32)


def deliver(arrivals, vector, version, start=0, size=None, wire=Wire.FLOAT32):
    """A piece as a transport delivers it."""
    values = numbers(vector, version)[start:][:size]
    body = Encoder().encode(wire, vector, start, values)
    header = Header(Kind.VALUES, wire, 0, 0, vector, start, len(values), version, 0, body=len(body))
    room = arrivals.room(header)
    room[:] = body
    arrivals.received(header, room)


def always():
    return True


def latest(staleness):
    return LatestArrivals(replace(JOB, sharing=Sharing(staleness=staleness)))


def test_an_exact_vector_is_there_when_its_last_piece_is():
    arrivals = ExactArrivals(JOB)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(arrivals.wait, 1, 0, always)
        for start in range(16, SIZES[1], 16):
            deliver(arrivals, 1, 0, start, 16)
        deliver(arrivals, 1, 0, 16, 16)
        assert not waiting.done(), "a piece that comes twice is no other piece"
        deliver(arrivals, 1, 0, 0, 16)
        np.testing.assert_array_equal(waiting.result(PATIENCE), numbers(1, 0))


def test_exact_versions_do_not_mix():
    arrivals = ExactArrivals(JOB)
    deliver(arrivals, 0, 0)
    deliver(arrivals, 0, 1)
    np.testing.assert_array_equal(arrivals.wait(0, 0, always), numbers(0, 0))
    np.testing.assert_array_equal(arrivals.wait(0, 1, always), numbers(0, 1))


def test_a_step_that_others_have_settled_is_not_waited_for():
    arrivals = ExactArrivals(JOB)
    deliver(arrivals, 0, 5)
    with pytest.raises(OvertakenError):
        arrivals.wait(0, 4, always)


def test_versions_that_nobody_can_need_are_forgotten():
    arrivals = ExactArrivals(JOB)
    for version in (3, 4):
        for vector in range(len(SIZES)):
            deliver(arrivals, vector, version)
    with pytest.raises(OvertakenError):
        arrivals.wait(0, 3, always)
    np.testing.assert_array_equal(arrivals.wait(0, 4, always), numbers(0, 4))


def test_values_in_bfloat16_are_put_where_they_belong():
    for arrivals in (ExactArrivals(JOB), latest(1)):
        deliver(arrivals, 0, 0, wire=Wire.BFLOAT16)
        np.testing.assert_array_equal(arrivals.wait(0, 0, always), numbers(0, 0))


def test_bounded_values_lack_at_most_the_last_updates():
    arrivals = latest(2)
    deliver(arrivals, 0, 3)
    np.testing.assert_array_equal(arrivals.wait(0, 5, always), numbers(0, 3))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(arrivals.wait, 0, 6, always)
        deliver(arrivals, 0, 4, 16)
        assert not waiting.done(), "its first piece is one update too old"
        deliver(arrivals, 0, 4, 0, 16)
        np.testing.assert_array_equal(waiting.result(PATIENCE), numbers(0, 4))


def test_without_a_bound_any_values_do_but_there_must_be_some():
    arrivals = latest(None)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(arrivals.wait, 0, 50, always)
        deliver(arrivals, 0, 0)
        np.testing.assert_array_equal(waiting.result(PATIENCE), numbers(0, 0))


def test_older_values_do_not_replace_newer_ones():
    arrivals = latest(None)
    deliver(arrivals, 0, 7)
    deliver(arrivals, 0, 6)
    np.testing.assert_array_equal(arrivals.wait(0, 0, always), numbers(0, 7))


def test_what_a_computation_holds_does_not_change_under_it():
    arrivals = latest(None)
    deliver(arrivals, 0, 1)
    held = arrivals.wait(0, 0, always)
    deliver(arrivals, 0, 2)
    np.testing.assert_array_equal(held, numbers(0, 1))


@pytest.mark.parametrize("arrivals", [ExactArrivals(JOB), latest(1)])
def test_closing_ends_all_waiting(arrivals):
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(arrivals.wait, 0, 9, always)
        arrivals.close()
        with pytest.raises(OvertakenError):
            waiting.result(PATIENCE)


@pytest.mark.parametrize("arrivals", [ExactArrivals(JOB), latest(0)])
def test_a_wait_for_a_step_ends_when_something_else_is_to_be_done_first(arrivals):
    deliver(arrivals, 0, 0)
    wanted = [True]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(arrivals.wait, 0, 1, lambda: wanted[0])
        wanted[0] = False
        arrivals.nudge()
        with pytest.raises(PreemptedError):
            waiting.result(PATIENCE)
    with pytest.raises(PreemptedError):
        arrivals.wait(0, 1, lambda: False)
    np.testing.assert_array_equal(arrivals.wait(0, 0, lambda: False), numbers(0, 0))


@pytest.mark.parametrize("arrivals", [ExactArrivals(JOB), latest(0)])
def test_a_piece_that_would_divide_a_block_is_refused(arrivals):
    with pytest.raises(ValueError, match="no multiple of 16"):
        deliver(arrivals, 1, 0, 12, 12)
