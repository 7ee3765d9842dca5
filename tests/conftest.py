"""JAX compiles quickly in all tests, and in the processes they start, but those of `e2e`."""

import os

from hypothesis import settings

from tests.support.quick_compiler import QUICK_COMPILER


def pytest_configure():
    """Set the flags before anything starts JAX; no example fails for a busy machine."""
    settings.register_profile("oriel", deadline=None)
    settings.load_profile("oriel")
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_COMPILER}".strip()
