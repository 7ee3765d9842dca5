"""A node makes the same fit of a run that the run itself would carry out."""

from dataclasses import replace

import numpy as np
import pytest

from services.training.engine import FitConfig, Fitter
from services.training.engine.ps.orders import order_builder
from services.training.runs.ensemble import limits_of
from services.training.runs.folder import Order, RunFolder
from services.training.runs.kept import FreshFits
from services.training.runs.members import fit_members
from services.training.runs.recipes import RECIPES, order_of, parts_for
from services.training.runs.rows import read_rows
from services.training.runs.run import FINAL
from tests.unit.training import shop
from tests.unit.training.conftest import SMALL


class Noted(FreshFits):
    """Carries fits out and notes what they gave."""

    def __init__(self):
        self.results = {}

    def fit(self, name, work, on_epoch):
        self.results[name] = super().fit(name, work, on_epoch)
        return self.results[name]


def test_a_fit_made_from_its_order_gives_the_bits_of_the_run(reader, tmp_path):
    config = replace(SMALL, model={**SMALL.model, "pretrained": True})
    noted, fold = Noted(), reader.manifest.fold(FINAL)
    fit_members(
        read_rows(reader, fold.train_as_ofs),
        limits_of(fold),
        config,
        horizon_days=reader.manifest.horizon_days,
        fits=noted,
        name=FINAL,
    )
    folder = RunFolder(tmp_path / "run")
    shop.write(tmp_path / "shop")
    folder.prepare(Order("customers", str(tmp_path / "shop"), "hash"), config)
    job = order_builder(RECIPES)(order_of(folder.path, "final-1", 1, {"owners": 2}))
    fitter = Fitter(job.layers, job.objective, job.config)
    again = fitter.fit(job.rows, job.valid, seed=job.seed, learned=job.learned())
    for name, values in noted.results["final-1"].parameters.items():
        np.testing.assert_array_equal(again.parameters[name], values)
    assert job.sharing.owners == 2


@pytest.mark.parametrize(("workers", "parts"), [(1, 1), (2, 2), (3, 4), (7, 8), (128, 128)])
def test_every_worker_has_a_part_of_each_batch(workers, parts):
    assert parts_for(FitConfig(batch_size=128), workers) == parts


def test_more_workers_than_rows_share_what_there_is():
    assert parts_for(FitConfig(batch_size=8), 20) == 8
