"""Compiled programs that runs share: the same models on the same shapes are compiled once."""

import os
import shutil
from pathlib import Path
from typing import Any

KEPT = "JAX_COMPILATION_CACHE_DIR"
"""JAX's own variable: where programs are kept between runs. Without it nothing is."""

LIMIT_BYTES = 512 << 20
"""Of all that is kept; the oldest goes first."""


class CompiledPrograms:
    """A run's own folder of compiled programs, which begins with those of earlier runs.

    JAX writes a program in place, so a worker that is killed may leave half of one. It stays in the
    run's folder, which is emptied at the next start; only a run that ended well adds to what is
    kept.

    Args:
        own: The run's folder.
        kept: What runs share; None for a run that shares nothing.
    """

    def __init__(self, own: Path, kept: Path | None) -> None:
        self._own, self._kept = own, kept

    def begin(self) -> None:
        """Let JAX find and leave programs in the run's folder; before its first computation."""
        import jax

        shutil.rmtree(self._own, ignore_errors=True)
        self._own.mkdir(parents=True)
        for program in _files(self._kept):
            shutil.copy2(program, self._own)
        settings: Any = jax.config
        settings.update("jax_compilation_cache_dir", str(self._own))
        settings.update("jax_persistent_cache_min_compile_time_secs", 0)
        settings.update("jax_persistent_cache_min_entry_size_bytes", -1)
        # They are of GPUs, lie in a folder of this run, and its path would be part of every key.
        settings.update("jax_persistent_cache_enable_xla_caches", "none")

    def end(self) -> None:
        """Keep what was compiled for later runs, and drop the run's folder."""
        if self._kept is not None:
            self._kept.mkdir(parents=True, exist_ok=True)
            for program in _files(self._own):
                if not (self._kept / program.name).exists():
                    # Whole or not at all, also for a run that reads at the same time.
                    written = self._kept / f".{program.name}.{os.getpid()}"
                    shutil.copy2(program, written)
                    written.replace(self._kept / program.name)
            self._prune()
        shutil.rmtree(self._own, ignore_errors=True)

    def _prune(self) -> None:
        newest_first = sorted(
            ((file.stat(), file) for file in _files(self._kept)), key=lambda pair: -pair[0].st_mtime
        )
        total = 0
        for facts, file in newest_first:
            total += facts.st_size
            if total > LIMIT_BYTES:
                file.unlink(missing_ok=True)


def _files(folder: Path | None) -> list[Path]:
    """Programs in a folder, which need not exist; not those being written."""
    if folder is None or not folder.is_dir():
        return []
    return [each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".")]
