"""One warehouse a module, as a process can have one open; each test finds it empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.warehouse import Warehouse, migrate, open_embedded
from tests.unit.ingestion.ingestion_world import World


@pytest.fixture(scope="module")
def warehouse_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ingestion") / "warehouse"


@pytest.fixture(scope="module")
def warehouse(warehouse_folder: Path) -> Iterator[Warehouse]:
    opened = open_embedded(warehouse_folder)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def world(warehouse: Warehouse, tmp_path: Path) -> Iterator[World]:
    made = World(warehouse, tmp_path)
    yield made
    made.clear()
