"""Bytes of ClickHouse's native protocol: numbers, texts and blocks of columns."""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.warehouse.types import arguments

_WIDTHS = {
    **{f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    **{"Bool": 1, "Enum8": 1, "Nothing": 1, "Enum16": 2, "Date": 2, "Float32": 4, "Float64": 8},
    **{"DateTime": 4, "Date32": 4, "IPv4": 4, "DateTime64": 8, "UUID": 16, "IPv6": 16},
    **{"Decimal32": 4, "Decimal64": 8, "Decimal128": 16, "Decimal256": 32},
}
_TYPE = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
_DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))
_BLOCK_HEADER = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # not overflows; bucket -1; end


def varint(number: int) -> bytes:
    """Write an unsigned number in sevens of bits.

    >>> varint(300)
    b'\\xac\\x02'
    """
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(value: str | bytes) -> bytes:
    """Write a text with its length before it."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(len(raw)) + raw


class Reader:
    """Reads from a source that gives some bytes at a time, and none at its end.

    Args:
        receive: Gives at most so many bytes.
    """

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._buffer = bytearray()
        self._position = 0

    def is_at_end(self) -> bool:
        """Say whether nothing more comes."""
        return self._position == len(self._buffer) and not self._fill()

    def fixed(self, count: int) -> bytes:
        """Read that many bytes."""
        while len(self._buffer) - self._position < count:
            if not self._fill():
                raise EOFError
        start, self._position = self._position, self._position + count
        return bytes(self._buffer[start : self._position])

    def byte(self) -> int:
        """Read one byte as a number."""
        return self.fixed(1)[0]

    def uint64(self) -> int:
        """Read eight bytes as a number."""
        return int(struct.unpack("<Q", self.fixed(8))[0])

    def varint(self) -> int:
        """Read a number that `varint` wrote."""
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def raw_texts(self, count: int) -> bytes:
        """Read so many texts together with their lengths."""
        end = self._position
        for _ in range(count):
            length = shift = 0
            while True:
                while end >= len(self._buffer):
                    end = self._more(end)
                byte = self._buffer[end]
                end += 1
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            end += length
        return self.fixed(end - self._position)

    def text(self) -> str:
        """Read a text."""
        return self.fixed(self.varint()).decode()

    def _more(self, end: int) -> int:
        offset = end - self._position
        if not self._fill():
            raise EOFError
        return self._position + offset

    def _fill(self) -> bool:
        del self._buffer[: self._position]
        self._position = 0
        received = self._receive(1 << 20)
        self._buffer += received
        return bool(received)


@dataclass(frozen=True)
class Column:
    """A column of a block; the payload is as on the wire."""

    name: str
    type: str
    payload: bytes = b""


@dataclass(frozen=True)
class Block:
    """Columns of equal length."""

    columns: Sequence[Column] = ()
    row_count: int = 0

    def for_engine(self) -> bytes:
        """Write it as the engine's Native format."""
        return self._body(b"")

    def for_client(self) -> bytes:
        """Write it as the protocol does, where a byte says that a column has no special form."""
        return _BLOCK_HEADER + self._body(b"\x00")

    def _body(self, form: bytes) -> bytes:
        columns = (text(each.name) + text(each.type) + form + each.payload for each in self.columns)
        return varint(len(self.columns)) + varint(self.row_count) + b"".join(columns)


def read_from_engine(reader: Reader) -> Block:
    """Read a block of the engine's Native format."""
    return _block(reader, lambda: None)


def read_from_client(reader: Reader) -> Block:
    """Read a block of the protocol."""
    while field := reader.varint():
        reader.fixed(1 if field == 1 else 4)
    return _block(reader, lambda: reader.byte())


def _block(reader: Reader, read_form: Callable[[], object]) -> Block:
    column_count, row_count = reader.varint(), reader.varint()
    columns = []
    for _ in range(column_count):
        name, type_name = reader.text(), reader.text()
        read_form()
        payload = b""
        if row_count:
            payload = b"".join(
                [*_prefix(reader, type_name), *_values(reader, type_name, row_count)]
            )
        columns.append(Column(name, type_name, payload))
    return Block(columns, row_count)


def _parted(type_name: str) -> tuple[str, list[str]]:
    found = _TYPE.fullmatch(type_name)
    if not found:
        raise ValueError(f"cannot read the type {type_name}")
    family, inner = found[1], arguments(found[2]) if found[2] else []
    if family == "Tuple":
        inner = [re.sub(r"^(?:`[^`]+`|\w+) (?=\w)", "", each) for each in inner]
    return family, inner


def _prefix(reader: Reader, type_name: str) -> list[bytes]:
    family, inner = _parted(type_name)
    if family == "LowCardinality":
        return [reader.fixed(8)]
    if family in ("Array", "Tuple", "Map", "Nullable"):
        return [part for each in inner for part in _prefix(reader, each)]
    return []


def _values(reader: Reader, type_name: str, count: int) -> list[bytes]:
    family, inner = _parted(type_name)
    if family == "String":
        return [reader.raw_texts(count)]
    if family == "Nullable":
        return [reader.fixed(count), *_values(reader, inner[0], count)]
    if family == "Tuple":
        return [part for each in inner for part in _values(reader, each, count)]
    if family in ("Array", "Map"):
        return _lists(reader, inner, count)
    if family == "LowCardinality":
        return _dictionary(reader, inner[0], count)
    return [reader.fixed(count * _width(family, inner))]


def _width(family: str, inner: Sequence[str]) -> int:
    if family == "FixedString":
        return int(inner[0])
    if family == "Decimal":
        return next(width for digits, width in _DECIMAL_WIDTHS if int(inner[0]) <= digits)
    if family not in _WIDTHS:
        raise ValueError(f"the front does not carry {family}")
    return _WIDTHS[family]


def _lists(reader: Reader, inner: Sequence[str], count: int) -> list[bytes]:
    offsets = reader.fixed(8 * count)
    total = struct.unpack("<Q", offsets[-8:])[0] if count else 0
    return [offsets, *(part for each in inner for part in _values(reader, each, total))]


def _dictionary(reader: Reader, inner: str, count: int) -> list[bytes]:
    if not count:
        return []
    kind = reader.fixed(8)
    width = 1 << (kind[0] & 255)
    keys = reader.fixed(8)
    family, nested = _parted(inner)
    key_type = nested[0] if family == "Nullable" else inner
    parts = _values(reader, key_type, struct.unpack("<Q", keys)[0])
    rows = reader.fixed(8)
    indexes = reader.fixed(struct.unpack("<Q", rows)[0] * width)
    return [kind, keys, *parts, rows, indexes]
