"""JAX compiles quickly in all tests, and in the processes they start, but those of `e2e`."""

import os
from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def programs_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let training workers of all tests share compiled programs, also of tests that run beside."""
    import jax  # noqa: F401 - it reads the variable when imported: this process keeps nothing there

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder / "programs"))
        yield
