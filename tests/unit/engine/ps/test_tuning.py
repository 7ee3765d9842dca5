"""The tuner keeps the schedule that was fastest when it was tried."""

import pytest

from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.tuning import (
    CANDIDATES,
    WARM_UP_STEPS,
    Tuner,
)

STEPS = Tuner(0).end


def tune(seconds_of, first=0, steps=STEPS, ahead=1):
    """Settle steps that take as long as `seconds_of(schedule, step)`, planned ahead."""
    tuner, now = Tuner(first), 0.0
    tuner.settled(first, now)
    for step in range(first, first + steps):
        schedule = tuner.schedule(step)
        tuner.schedule(step + ahead)
        now += seconds_of(schedule, step)
        tuner.settled(step + 1, now)
    return tuner


@pytest.mark.parametrize("fastest", CANDIDATES)
@pytest.mark.parametrize("first", [0, 17])
def test_the_fastest_is_kept(fastest, first):
    tuner = tune(lambda schedule, _: 1.0 if schedule == fastest else 1.2, first)
    assert tuner.best == fastest
    assert {tuner.schedule(first + STEPS + later) for later in (1, 2, 500)} == {fastest}


def test_of_schedules_that_trials_cannot_tell_apart_the_one_that_hides_most_is_kept():
    assert (
        tune(lambda schedule, _: 1.0 if schedule == CANDIDATES[-1] else 1.02).best != CANDIDATES[-1]
    )
    assert (
        tune(lambda schedule, _: 1.0 if schedule == CANDIDATES[-1] else 1.05).best == CANDIDATES[-1]
    )


def test_compiling_and_single_slow_steps_do_not_decide():
    fastest = CANDIDATES[3]

    def seconds(schedule, step):
        is_slow = step < len(CANDIDATES) * WARM_UP_STEPS or step % 11 == 0
        return 30.0 * (schedule == fastest) * is_slow + (1.0 if schedule == fastest else 1.1)

    assert tune(seconds).best == fastest


def test_every_task_of_a_step_has_one_schedule():
    tuner = Tuner(0)
    planned = tuner.schedule(STEPS)
    tuner.settled(0, 0.0)
    for step in range(STEPS):
        tuner.settled(step + 1, float(step))
    assert tuner.schedule(STEPS) == planned


def test_a_schedule_that_is_ordered_is_used_from_the_first_step_to_the_last():
    only = Schedule("end", 1024)
    tuner = Tuner(5, [only])
    assert {tuner.schedule(step) for step in range(5, 100)} == {only}
    assert tuner.best == only
