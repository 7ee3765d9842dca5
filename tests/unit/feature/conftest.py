import pytest

from shared.warehouse import migrate, open_embedded


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """One embedded engine for a module; opening one takes longer than a test."""
    with open_embedded(tmp_path_factory.mktemp("warehouse")) as warehouse:
        migrate(warehouse)
        yield warehouse


@pytest.fixture
def warehouse(engine):
    """The engine with empty tables."""
    for table in ("events", "identity", "persons"):
        engine.execute(f"TRUNCATE TABLE {table}")
    return engine
