"""What a launcher sets for a process that trains, before the process starts."""

from collections.abc import Mapping

# glibc hands freed large blocks back to the kernel and faults them in again at every step; kept,
# they halve the time of a step over large batches. It reads these once, at start.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def worker_environment(base: Mapping[str, str]) -> dict[str, str]:
    """`base` and the memory settings of a training process; what `base` sets itself stays.

    >>> worker_environment({"HOME": "/root", "MALLOC_MMAP_MAX_": "9"})["MALLOC_MMAP_MAX_"]
    '9'
    """
    return {**ALLOCATOR, **base}
