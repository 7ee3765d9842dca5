"""Oriel as its users run it, command by command."""

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

_CACHE = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(scope="module", autouse=True)
def _cache_set_back(programs_kept):
    """Services of a command set JAX's cache for the whole process."""
    before = {name: getattr(jax.config, name) for name in _CACHE}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def compiled_as_for_users():
    """Let workers compile as they do for users, and not quickly as in other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XLA_FLAGS")
        yield
