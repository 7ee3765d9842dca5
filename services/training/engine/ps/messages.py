"""What nodes say to each other: a fixed header, and raw bytes or a small JSON object."""

import json
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

MAX_BODY_BYTES = 1 << 30
_HEADER = struct.Struct("<BBHHIIIiidI")


class Kind(IntEnum):
    """What a message is."""

    CONTROL = 0
    """A JSON object; `type` says what it asks or tells."""
    GRADIENT = 1
    """Worker to server: a piece of what one micro-batch adds to a vector."""
    VALUES = 2
    """Server to worker: a piece of a vector after `step` updates."""
    STATE = 3
    """Values and optimizer state of a range after `step` updates."""
    TOTAL = 4
    """Server to its second server: the sum of a step's gradients for a range."""
    KEPT = 5
    """The second server has applied that sum."""


class Header(NamedTuple):
    """The fixed part of a message.

    Args:
        wire: How the numbers in the body are written.
        priority: The lowest goes first when several messages wait for a connection.
        owner: Number of the owner whose range it is about.
        step: Of a gradient the step it belongs to; of values the number of updates in them.
        part: The micro-batch of a gradient.
        loss: Of a gradient the loss of its micro-batch, of a sum that of its step.
        body: Bytes that follow.
    """

    kind: int
    wire: int = 0
    priority: int = 0
    owner: int = 0
    vector: int = 0
    start: int = 0
    size: int = 0
    step: int = 0
    part: int = 0
    loss: float = 0.0
    body: int = 0

    def pack(self) -> bytes:
        """The header as `HEADER_BYTES` bytes."""
        return _HEADER.pack(*self)

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview) -> "Header":
        """The header that `pack` wrote."""
        return cls._make(_HEADER.unpack(data))


HEADER_BYTES = _HEADER.size


def control(kind: str, **fields: Any) -> tuple[Header, bytes]:
    """A control message, which goes before all numbers.

    >>> header, body = control("task", step=3)
    >>> said(body)
    {'type': 'task', 'step': 3}
    """
    body = json.dumps({"type": kind, **fields}).encode()
    return Header(Kind.CONTROL, body=len(body)), body


def said(body: bytes | memoryview) -> Mapping[str, Any]:
    """The object in a control message."""
    read: Mapping[str, Any] = json.loads(bytes(body))
    return read
