"""What a launcher sets for a process that trains, before the process starts."""

from collections.abc import Mapping

import jax

# glibc hands freed large blocks back to the kernel and faults them in again at every step; kept,
# they halve the time of a step over large batches. It reads these once, at start.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def worker_environment(base: Mapping[str, str]) -> dict[str, str]:
    """`base` and the memory settings of a training process; what `base` sets itself stays.

    >>> worker_environment({"HOME": "/root", "MALLOC_MMAP_MAX_": "9"})["MALLOC_MMAP_MAX_"]
    '9'
    """
    return {**ALLOCATOR, **base}


def run_programs_where_called() -> None:
    """Let each program of this process run in the thread that calls it; before the first one.

    Otherwise the programs of all threads stand in one line, in which the small update of a server
    waits for the whole backward pass of the worker beside it. Of programs on CPU only.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
