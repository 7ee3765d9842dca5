"""The churn model by parameter servers and two workers is that of one device."""

from dataclasses import replace

import numpy as np

from services.training.engine import fit
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.outcome import Crew
from services.training.engine.ps.run import train_in_threads
from services.training.runs import heads
from services.training.runs.ensemble import ensemble_rows
from services.training.runs.judge import answers
from services.training.runs.members import fit_members
from tests.unit.training import shop
from tests.unit.training.conftest import SMALL
from tests.unit.training.test_leaks import rows_of

WORKERS = 2


class By:
    """Carries out the fits of members, one after another, by what is given."""

    def __init__(self, one):
        self.one = one

    def each(self, one, count):
        return [one(number) for number in range(count)]

    def fit(self, name, work, on_epoch):
        return self.one(int(name.rpartition("-")[2]))


def test_the_churn_model_trained_by_two_workers_says_what_one_device_says():
    rows = rows_of(shop.arrays())
    made = ensemble_rows(rows, SMALL)
    config = replace(made.fit_config, micro_batches=WORKERS)

    def alone(number):
        train, valid = made.train(number), made.valid(number)
        return fit(made.layers, heads.objective, train, valid, config, seed=made.seed(number))

    def together(number):
        train, valid, seed = made.train(number), made.valid(number), made.seed(number)
        job = Job(made.layers, heads.objective, train, config, seed, Sharing(owners=2), valid)
        return train_in_threads(job, job.start(), Crew(WORKERS, 2)).standing.result()

    one, two = (
        answers(fit_members(rows, shop.LIMITS, SMALL, horizon_days=30, fits=By(each)), rows)
        for each in (alone, together)
    )
    np.testing.assert_allclose(two.active, one.active, rtol=1e-6)
    np.testing.assert_allclose(two.spend, one.spend, rtol=1e-6)
    np.testing.assert_allclose(two.intervals.high, one.intervals.high, rtol=1e-6)
