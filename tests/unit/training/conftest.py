"""One small run, trained once for all tests that look at its results."""

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from services.training.runs.config import RunConfig
from services.training.runs.run import run_training
from shared.dataset import DatasetReader
from tests.unit.training import shop

SMALL = RunConfig(
    members=2,
    epochs=4,
    patience=2,
    learning_rate=3e-3,
    bootstrap_samples=40,
    model={"type": "mlp", "width": 8, "blocks": 1, "dropout": 0.1},
)


class Heard:
    """Keeps what a run reports."""

    def __init__(self):
        self.progresses, self.losses, self.samples = [], [], []

    def progress(self, completed, total, message):
        self.progresses.append((completed, total, message))

    def epoch(self, loss, report):
        self.losses.append(loss)

    def pace(self, pace):
        pass

    def fitted(self, sample):
        self.samples.append(sample)


@pytest.fixture(scope="session")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets") / "shop"
    shop.write(folder)
    return DatasetReader(folder)


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Keep compiled programs, as workers do; else each member of each run is compiled anew."""
    kept = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in kept}
    for name, value in kept.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def heard():
    return Heard()


@pytest.fixture(scope="session")
def result(reader, heard):
    return run_training(reader, "customers", SMALL, heard)
