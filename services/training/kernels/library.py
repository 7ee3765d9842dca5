"""Where the compiled kernels lie, and their registration with JAX."""

import ctypes
import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import jax

FOLDER = Path(__file__).parent
BINDINGS = ("convolution_bindings.cc", "product_bindings.cc")
KERNELS = ("products.cc", "tiles.cc")
HEADERS = ("products.h", "scratch.h", "tasks.h", "tiles.h")
BUILT = FOLDER.parents[2] / ".cache" / "kernels"
SWITCH = "ORIEL_KERNELS"


def library_path() -> Path:
    """The file that belongs to these sources and this JAX: one of older sources is never loaded."""
    parts = [
        jax.__version__.encode(),
        *((FOLDER / name).read_bytes() for name in (*BINDINGS, *KERNELS, *HEADERS)),
    ]
    return BUILT / f"kernels-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}.so"


@cache
def registered() -> bool:
    """Make JAX know the kernels, once a process; False where they cannot or shall not be used.

    They are not used where they were not built, where the processor lacks AVX2, and where the
    environment says ORIEL_KERNELS=off.
    """
    path = library_path()
    if os.environ.get(SWITCH) == "off" or not path.exists():
        return False
    library = ctypes.CDLL(str(path))
    if not library.oriel_runs_here():
        return False
    ffi: Any = jax.ffi
    for name in (
        "oriel_convolve_and_pool",
        "oriel_convolve_and_pool_images",
        "oriel_convolve_and_pool_weights",
        "oriel_multiply",
    ):
        ffi.register_ffi_target(name, ffi.pycapsule(getattr(library, name)), platform="cpu")
    return True
