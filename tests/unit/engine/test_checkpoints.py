"""A fit that was cut off goes on from its last checkpoint to the very same weights."""

from dataclasses import replace

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


def stop_before(step):
    """True from the `step`-th question on."""
    asked = iter(range(step))
    return lambda: next(asked, None) is None


@pytest.fixture(scope="module")
def whole():
    return run()


@pytest.mark.parametrize("step", [0, 4, 7, 13, 20])
def test_a_fit_cut_off_at_any_step_ends_as_if_it_had_not_been(whole, tmp_path, step):
    with Checkpoints(tmp_path, "fit", 3) as kept, pytest.raises(CancelledError):
        run(checkpoints=kept, should_stop=stop_before(step))
    with Checkpoints(tmp_path, "fit", 3) as kept:
        resumed = run(checkpoints=kept)
    assert {k: np.asarray(v).tobytes() for k, v in whole.parameters.items()} == {
        k: np.asarray(v).tobytes() for k, v in resumed.parameters.items()
    }
    assert [(r.train_loss, r.validation_loss, r.is_best) for r in whole.history] == [
        (r.train_loss, r.validation_loss, r.is_best) for r in resumed.history
    ]


def test_it_goes_on_from_the_last_checkpoint_and_not_from_the_start(tmp_path):
    with Checkpoints(tmp_path, "fit", 3) as kept, pytest.raises(CancelledError):
        run(checkpoints=kept, should_stop=stop_before(13))
    asked = []
    with Checkpoints(tmp_path, "fit", 3) as kept:
        run(checkpoints=kept, should_stop=lambda: bool(asked.append(1)))
    # Three epochs of seven steps; 13 were done, and the 13th is the sixth of its epoch: kept.
    assert len(asked) == 21 - 13


def test_a_finished_fit_is_not_done_again(whole, tmp_path):
    for _ in range(2):
        epochs = []
        with Checkpoints(tmp_path, "fit", 100) as kept:
            result = run(checkpoints=kept, on_epoch=epochs.append)
    assert epochs == []
    assert result.history[-1].train_loss == whole.history[-1].train_loss


def test_checkpoints_of_another_fit_are_refused(tmp_path):
    with Checkpoints(tmp_path, "one fit", 100) as kept:
        run(replace(CONFIG, epochs=1), checkpoints=kept)
    with (
        Checkpoints(tmp_path, "another", 100) as kept,
        pytest.raises(FailedPreconditionError, match="empty folder"),
    ):
        run(checkpoints=kept)
