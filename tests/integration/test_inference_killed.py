"""A batch prediction killed while it writes and started again loses and doubles nothing."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from services.inference.adapters.datasets import snapshot_of
from services.inference.adapters.runner import ModelRunner
from services.inference.usecases.batch import BatchPredictor
from shared.registry import ModelRegistry
from tests.integration.test_inference_service import furnish, inference, predict_all, read
from tests.unit.inference.stand_ins import MemoryDatasets, MemoryLog
from tests.unit.inference.test_batch_predictor import Context
from tests.unit.inference.test_predictor import WORDING, OneModel

CHILD = """
    import os, signal, sys
    from pathlib import Path
    from services.inference.adapters.prediction_table import PredictionTable
    from services.inference.usecases import batch
    from shared.config.home import Home
    from tests.integration.test_inference_service import inference, predict_all

    batch.BLOCK_ROWS, batch.WRITE_ROWS = 64, 64
    append, left = PredictionTable.append, 2

    def dying(self, predictions):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        append(self, predictions)

    PredictionTable.append = dying
    with inference(Home(Path(sys.argv[1]))) as (stub, _):
        predict_all(stub, "killed")
"""


def undisturbed(home, folder):
    """Return what a batch says that nothing stops."""
    held = snapshot_of("datasets/scoring", home.datasets_path / "scoring")
    model = OneModel(ModelRunner(ModelRegistry(home.registry_path).get("models/tiny")))
    batches = BatchPredictor(model, MemoryDatasets(held), MemoryLog(), WORDING, folder)
    return read(batches.run("models/tiny", held.dataset, Context())["uri"])


@pytest.mark.slow
def test_killed_while_writing_and_started_again_nothing_is_lost_or_doubled(tmp_path):
    home = furnish(tmp_path / "home")
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(home.path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
        timeout=120,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    with inference(home) as (stub, warehouse):
        logged = warehouse.query("SELECT count() AS n FROM predictions")["n"][0].as_py()
        assert logged == 128
        finished = read(predict_all(stub, "killed").uri)
        assert finished.equals(undisturbed(home, tmp_path))
        assert warehouse.query("SELECT count() AS n FROM predictions")["n"][0].as_py() == 300
