"""Compiled programs of models, kept between starts."""

import hashlib
import platform
from pathlib import Path
from typing import Any

import jax

from shared.config.home import Home


def compiled_programs(home: Home, purpose: str) -> Path:
    """The folder of compiled programs for one purpose, made for this kind of processor."""
    return home.cache_path / f"{purpose}-{_processor()}"


def keep_compiled_programs(home: Home) -> None:
    """Let a second start load the programs of a model in one second rather than in eight."""
    settings: Any = jax.config
    settings.update("jax_compilation_cache_dir", str(compiled_programs(home, "programs")))
    settings.update("jax_persistent_cache_min_compile_time_secs", 0)
    settings.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _processor() -> str:
    """Name this kind of processor: a program compiled for one may not run on another."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        kind = next((line for line in text.splitlines() if line.startswith(("flags", "Feat"))), "")
    except OSError:
        kind = ""
    parts = f"{platform.machine()} {platform.processor()} {kind}"
    return hashlib.sha256(parts.encode()).hexdigest()[:12]
