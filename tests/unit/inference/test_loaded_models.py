"""Versions are loaded once, before they are needed where that is known, and the last ones kept."""

import threading
from pathlib import Path

import pytest

from services.inference.adapters.models import LoadedModels
from shared.errors import FailedPreconditionError, NotFoundError
from shared.registry import ModelRegistry


class Loads:
    """Notes which versions were loaded; reads one file of each, as a runner does."""

    def __init__(self):
        self.names = []

    def __call__(self, version):
        version.read("weights.safetensors")
        self.names.append(version.name)
        return version.name


@pytest.fixture
def registry(tmp_path):
    registry = ModelRegistry(tmp_path)
    for seed in range(3):
        registry.publish("churn", {"weights.safetensors": b"w"}, {"seed": seed})
    registry.publish("value", {"weights.safetensors": b"w"}, {})
    return registry


def test_a_version_is_loaded_once_however_it_is_named(registry):
    loads = Loads()
    models = LoadedModels(registry, loads)
    registry.set_alias("models/churn/aliases/champion", "models/churn/versions/2")
    names = ["models/churn", "models/churn/aliases/champion", "models/churn/versions/2"]
    assert {models.load(name) for name in names} == {"models/churn/versions/2"}
    assert loads.names == ["models/churn/versions/2"]


def test_many_first_callers_wait_for_one_loading(registry):
    loads, both = Loads(), threading.Barrier(8)
    models = LoadedModels(registry, loads)

    def call():
        both.wait()
        models.load("models/churn")

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads.names == ["models/churn/versions/3"]


def test_the_versions_used_last_are_kept(registry):
    loads = Loads()
    models = LoadedModels(registry, loads, capacity=2)
    for number in (1, 2, 1, 3, 1, 2):
        models.load(f"models/churn/versions/{number}")
    assert [name[-1] for name in loads.names] == ["1", "2", "3", "2"]


def test_champions_are_loaded_ahead_and_a_damaged_one_does_not_stop_the_others(registry):
    loads = Loads()
    models = LoadedModels(registry, loads)
    damaged = Path(registry.get("models/churn").uri) / "weights.safetensors"
    damaged.write_bytes(b"x")
    models.load_champions()
    assert loads.names == ["models/value/versions/1"]
    with pytest.raises(FailedPreconditionError):
        models.load("models/churn")
    damaged.write_bytes(b"w")
    assert models.load("models/churn") == "models/churn/versions/3"


def test_a_version_that_is_not_there_is_not_found(registry):
    with pytest.raises(NotFoundError):
        LoadedModels(registry, Loads()).load("models/none")
