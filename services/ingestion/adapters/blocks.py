"""Files as blocks of whole lines, unpacked on the way."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from shared.errors import InvalidArgumentError

BLOCK_BYTES = 16 << 20
LARGEST_LINE_BYTES = 256 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def first_bytes(path: Path, count: int) -> bytes:
    """Return the first bytes of a file, unpacked."""
    with _unpacked(path) as stream:
        return bytes(stream.read(count))


def line_blocks(path: Path, skip_bytes: int = 0) -> Iterator[tuple[bytes, bool]]:
    """Yield blocks that end with a line, and whether each is the last.

    Raises:
        InvalidArgumentError: The file cannot be unpacked, or a line has no end.
    """
    with _unpacked(path) as stream:
        waiting = bytes(stream.read(skip_bytes))[:0]
        while True:
            read = bytes(stream.read(BLOCK_BYTES))
            if not read:
                break
            waiting += read
            end = waiting.rfind(b"\n") + 1
            if end:
                yield waiting[:end], False
                waiting = waiting[end:]
            elif len(waiting) > LARGEST_LINE_BYTES:
                raise unreadable(path, "a line of it is longer than 256 MiB; is it a text file?")
    yield waiting, True


def mark_bytes(path: Path, start: bytes) -> int:
    """Return how many bytes of byte order mark a file starts with.

    Raises:
        InvalidArgumentError: It is UTF-16.
    """
    if start.startswith(_WIDE_MARKS):
        raise unreadable(path, "it is UTF-16; save it as UTF-8")
    return len(_BYTE_ORDER_MARK) if start.startswith(_BYTE_ORDER_MARK) else 0


def unreadable(path: Path, why: str) -> InvalidArgumentError:
    """Return the error for a file that cannot be read."""
    return InvalidArgumentError(
        f"{path} cannot be read: {why}", reason="UNREADABLE_FILE", uri=path, why=why
    )


class _unpacked:  # noqa: N801 - used like a function
    """Opens a file and turns what unpackers raise into our own error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: Any = None

    def __enter__(self) -> IO[bytes]:
        raw = self._path.open("rb")
        start = raw.read(4)
        raw.seek(0)
        if start.startswith(_GZIP):
            self._stream = gzip.GzipFile(fileobj=raw)
        elif start.startswith(_ZSTD):
            self._stream = pa.CompressedInputStream(raw, "zstd")
        else:
            self._stream = raw
        self._raw = raw
        stream: IO[bytes] = self._stream
        return stream

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._stream.close()
        self._raw.close()
        if isinstance(error, OSError | EOFError) and kind is not GeneratorExit:
            raise unreadable(self._path, f"it is damaged ({error})") from error
