"""Unpacks bodies, never further than they may be long."""

import zlib

from services.console.domain import messages
from shared.errors import InvalidArgumentError

_GZIP = 16 + zlib.MAX_WBITS


def unpacked(body: bytes, encoding: str, kind: str) -> bytes:
    """Return what a body holds.

    Args:
        body: As it came.
        encoding: Its Content-Encoding; empty for none.
        kind: What the path says it is.

    Raises:
        InvalidArgumentError: It is packed in another way, is damaged, or holds too much.
    """
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() != "gzip":
        raise InvalidArgumentError(
            "the body is packed in a way that is not known here; send it plain or by gzip",
            reason="UNKNOWN_ENCODING",
            field="Content-Encoding",
        )
    unpacker = zlib.decompressobj(_GZIP)
    limit = messages.limit(kind)
    try:
        found = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise _damaged() from error
    if len(found) > limit:
        raise messages.too_large(kind)
    if not unpacker.eof or unpacker.unused_data:
        raise _damaged()
    return found


def _damaged() -> InvalidArgumentError:
    return InvalidArgumentError(
        "the body says it is gzip and is not, or not wholly; send all of it", reason="BAD_GZIP"
    )
