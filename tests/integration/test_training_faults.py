"""Nodes killed and stopped at seeded moments; `make bench NAME=faults` does it twenty times."""

import pytest

from benchmarks.faults import KILLED, STOPPED, campaign, moments


@pytest.mark.slow
def test_whoever_is_killed_or_stopped_the_result_is_that_of_an_untouched_training():
    chosen = moments(94)[:2]
    hit = {(moment.role, moment.signal) for moment in chosen}
    assert hit == {("server", STOPPED), ("coordinator", KILLED)}
    came_of_it = list(campaign(chosen))
    assert [each["is_same"] for each in came_of_it] == [True, True]
    assert all(each["recovery_seconds"] is not None for each in came_of_it)
