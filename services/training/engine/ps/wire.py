"""How numbers are written for the way between nodes."""

from enum import IntEnum


class Wire(IntEnum):
    """The form of numbers on their way."""

    FLOAT32 = 0
    """As they are (float64 in a fit in float64); the only form that is exact."""
