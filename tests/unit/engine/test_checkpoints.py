"""A fit that was cut off goes on from its last checkpoint to the very same weights."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from services.training.engine import FitConfig, OptimizerConfig, fit
from services.training.engine.checkpoints import Checkpoints
from services.training.models import MlpConfig, table
from shared.errors import CancelledError, FailedPreconditionError
from tests.support.model_suite import HEADS, loss, random_rows

CONFIG = FitConfig(batch_size=16, epochs=3, optimizer=OptimizerConfig(learning_rate=1e-2))
LAYERS = MlpConfig(width=8, blocks=1).build(table(6), HEADS)


def run(config=CONFIG, **more):
    rows = random_rows(table(6), 100, 0), random_rows(table(6), 30, 5)
    return fit(LAYERS, loss, *rows, config, seed=2, **more)


def kept_often(folder, identity="fit"):
    """Checkpoints whose clock says at every third question that it is time."""
    ticks = count()
    return Checkpoints(folder, identity, every_seconds=3, clock=lambda: next(ticks))


def stop_before(step):
    """True from the `step`-th question on."""
    asked = iter(range(step))
    return lambda: next(asked, None) is None


@pytest.fixture(scope="module")
def whole():
    return run()


@pytest.mark.parametrize("step", [0, 4, 7, 13, 20])
def test_a_fit_cut_off_at_any_step_ends_as_if_it_had_not_been(whole, tmp_path, step):
    with kept_often(tmp_path) as kept, pytest.raises(CancelledError):
        run(checkpoints=kept, should_stop=stop_before(step))
    heard = []
    with kept_often(tmp_path) as kept:
        resumed = run(checkpoints=kept, on_epoch=heard.append)
    assert tuple(heard) == resumed.history
    assert {k: np.asarray(v).tobytes() for k, v in whole.parameters.items()} == {
        k: np.asarray(v).tobytes() for k, v in resumed.parameters.items()
    }
    assert [(r.train_loss, r.validation_loss, r.is_best) for r in whole.history] == [
        (r.train_loss, r.validation_loss, r.is_best) for r in resumed.history
    ]


def test_it_goes_on_from_the_last_checkpoint_and_not_from_the_start(tmp_path):
    with kept_often(tmp_path) as kept, pytest.raises(CancelledError):
        run(checkpoints=kept, should_stop=stop_before(13))
    asked = []
    with kept_often(tmp_path) as kept:
        run(checkpoints=kept, should_stop=lambda: bool(asked.append(1)))
    # Three epochs of seven steps; 13 were done and the twelfth was kept.
    assert len(asked) == 21 - 12


def test_a_fit_that_ends_before_a_save_is_due_leaves_nothing(tmp_path):
    with Checkpoints(tmp_path / "fit", "fit", every_seconds=3600) as kept:
        run(replace(CONFIG, epochs=1), checkpoints=kept)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_of_another_fit_are_refused(tmp_path):
    with kept_often(tmp_path, "one fit") as kept:
        run(replace(CONFIG, epochs=1), checkpoints=kept)
    with (
        kept_often(tmp_path, "another") as kept,
        pytest.raises(FailedPreconditionError, match="empty folder"),
    ):
        run(checkpoints=kept)
