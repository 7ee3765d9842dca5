from datetime import timedelta

import pytest

from shared.features import FEATURES
from shared.features.online import OnlineFeatures, OnlineSettings
from shared.warehouse import migrate, open_embedded


@pytest.fixture
def opened(tmp_path):
    """Opens the state of a small shop in a folder that lasts; whoever opens it closes it."""
    declared = tuple(
        FEATURES[name] for name in ("orders_ever", "orders_7d", "gross_ever", "products_ever")
    )

    def open_state() -> OnlineFeatures:
        settings = OnlineSettings("UTC", timedelta(days=3))
        return OnlineFeatures.open(tmp_path / "state", "0", declared, settings)

    return open_state


@pytest.fixture
def state(opened):
    with opened() as state:
        yield state


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """One embedded engine for a file: a process has one at a time, and it opens slowly."""
    with open_embedded(tmp_path_factory.mktemp("warehouse")) as warehouse:
        migrate(warehouse)
        yield warehouse
