"""How numbers are written for the way between nodes."""

from enum import IntEnum
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.ps.memory import as_bytes
from services.training.engine.rows import NumpyArray

Array = jax.Array
_SCALE_BYTES = 4


class Wire(IntEnum):
    """The form of numbers on their way."""

    FLOAT32 = 0
    """As they are (float64 in a fit in float64); the only form that is exact."""
    BFLOAT16 = 1
    """Half as much; a number keeps its first 8 bits."""
    INT8 = 2
    """A quarter for gradients, with a scale for each piece; what rounding takes from one gradient
    is added to the next. Values travel as BFLOAT16, because they have no next to add to."""

    @property
    def of_values(self) -> "Wire":
        """The form in which servers send values."""
        return Wire.BFLOAT16 if self is Wire.INT8 else self


class Encoder:
    """Writes pieces of vectors; remembers what rounding took, so one encoder serves one sender."""

    def __init__(self) -> None:
        self._lost: dict[tuple[int, int, int], Array | NumpyArray] = {}

    def encode(self, wire: Wire, vector: int, start: int, numbers: NumpyArray) -> memoryview:
        """The bytes of a piece; without a copy where they are sent as they are."""
        if wire is Wire.FLOAT32 or not len(numbers):
            return as_bytes(numbers)
        if wire is Wire.BFLOAT16:
            return as_bytes(np.asarray(_to_bfloat16(numbers)))
        key = (vector, start, len(numbers))
        lost = self._lost.get(key, np.zeros_like(numbers))
        steps, scale, self._lost[key] = _to_int8(numbers, lost)
        written = np.empty(_SCALE_BYTES + len(numbers), np.uint8)
        written[:_SCALE_BYTES] = np.asarray(scale).reshape(1).view(np.uint8)
        written[_SCALE_BYTES:] = np.asarray(steps).view(np.uint8)
        return as_bytes(written)


def decode(wire: Wire, body: memoryview, dtype: np.dtype[Any]) -> NumpyArray:
    """The numbers in a body; in place where they were sent as they are."""
    if wire is Wire.FLOAT32 or not len(body):
        return np.frombuffer(body, dtype)
    if wire is Wire.BFLOAT16:
        return (np.frombuffer(body, np.uint16).astype(np.uint32) << 16).view(np.float32)
    scale = np.frombuffer(body, np.float32, 1)[0]
    numbers: NumpyArray = np.frombuffer(body, np.int8, offset=_SCALE_BYTES) * scale
    return numbers


@jax.jit
def _to_bfloat16(numbers: Array) -> Array:
    return jax.lax.bitcast_convert_type(numbers.astype(jnp.bfloat16), jnp.uint16)


@jax.jit
def _to_int8(numbers: Array, lost: Array) -> tuple[Array, Array, Array]:
    wanted = numbers + lost
    scale = jnp.maximum(jnp.abs(wanted).max() / 127.0, np.finfo(np.float32).tiny)
    steps = jnp.clip(jnp.rint(wanted / scale), -127, 127).astype(jnp.int8)
    return steps, scale, wanted - steps * scale
