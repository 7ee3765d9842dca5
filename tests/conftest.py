"""JAX compiles quickly in all tests, and in the processes they start, but those of `e2e`."""

import os

import pytest
from hypothesis import settings

from tests.support.quick_compiler import QUICK_COMPILER


def pytest_configure():
    """Set the flags before anything starts JAX; no example fails for a busy machine."""
    settings.register_profile("oriel", deadline=None)
    settings.load_profile("oriel")
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_COMPILER}".strip()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker has a long one left when others end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
