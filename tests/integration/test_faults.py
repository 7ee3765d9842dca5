"""The main job, killed at seeded moments and started again, leaves what it leaves undisturbed."""

import random

import pytest

from tests.support.faults import job_options, kill_and_restart, reference

SEED = 1
MOMENTS = 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_killed_three_times_ends_as_if_nothing_had_happened(tmp_path):
    options = job_options(users=120)
    expected, seconds = reference(tmp_path, options)
    rng = random.Random(SEED)
    moments = [rng.uniform(0.02, 0.98) * seconds for _ in range(MOMENTS)]
    trial = kill_and_restart(tmp_path / "killed", options, moments)
    assert trial.outcome == expected, trial
