"""A published tiny model, exported once for all tests."""

import pytest

from services.inference.adapters.runner import ModelRunner
from shared.registry import ModelRegistry
from tests.unit.inference import tiny_model


@pytest.fixture(scope="session")
def model_files():
    return tiny_model.files()


@pytest.fixture(scope="session")
def registry(tmp_path_factory, model_files):
    registry = ModelRegistry(tmp_path_factory.mktemp("registry"))
    registry.publish("tiny", model_files, tiny_model.MANIFEST)
    return registry


@pytest.fixture(scope="session")
def runner(registry):
    return ModelRunner(registry.get("models/tiny"))
