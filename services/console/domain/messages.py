"""What a request of the Segment spec holds: messages, each as the bytes that ingestion takes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from shared.errors import InvalidArgumentError

BATCH = "batch"
KINDS = ("track", "identify", "page", "screen", "group", "alias")
MESSAGE_BYTES = 32 * 1024
"""Longest message."""
BATCH_BYTES = 500 * 1024
"""Longest batch, unpacked."""
MOST_MESSAGES = 2_500
"""Most messages in a batch."""
EXPANDED_BYTES = 4 * 1024 * 1024
"""Longest batch once every message has its own copy of what the batch says of all of them."""

_KEY = "writeKey"


def limit(kind: str) -> int:
    """Return how many bytes a body of this kind may have, unpacked."""
    return BATCH_BYTES if kind == BATCH else MESSAGE_BYTES


def too_large(kind: str) -> InvalidArgumentError:
    """Return what to say of a body that is too large."""
    if kind == BATCH:
        return InvalidArgumentError(
            f"the batch has more than {BATCH_BYTES:,} bytes; send fewer messages at once",
            reason="BATCH_TOO_LARGE",
            limit=BATCH_BYTES,
        )
    return _message_too_large(0)


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        InvalidArgumentError: It is none.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidArgumentError(
            f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}); "
            "send one JSON object",
            reason="BAD_JSON",
            line=error.lineno,
            column=error.colno,
        ) from error
    if not isinstance(request, dict):
        raise InvalidArgumentError(
            "the body is JSON, but not an object; send one JSON object", reason="BAD_JSON"
        )
    return request


def write_key(request: Mapping[str, Any]) -> str:
    """Return the write key that a body brings along; empty when it brings none."""
    key = request.get(_KEY)
    return key if isinstance(key, str) else ""


def messages(
    request: Mapping[str, Any], kind: str, *, received_at: str, new_id: Callable[[], str]
) -> list[bytes]:
    """Return the messages of a request, complete but otherwise unchanged.

    Each gets the type that its path says, the instant it was received at, an id where it has none,
    and of a batch what the batch says of all its messages. Write keys are taken out.

    Args:
        request: What was sent.
        kind: One of `KINDS`, or `BATCH`.
        received_at: Now, in ISO 8601.
        new_id: Makes a message id.

    Raises:
        InvalidArgumentError: A batch is not made as one; field and index say where.
    """
    if kind != BATCH:
        return [_complete(request, {"type": kind, "receivedAt": received_at}, new_id)]
    items = _items(request)
    common = _context(request)
    found = []
    for item in items:
        stamps: dict[str, Any] = {"receivedAt": received_at}
        if "sentAt" in request:
            stamps["sentAt"] = item.get("sentAt") or request["sentAt"]
        if common:
            own = item.get("context") or {}
            stamps["context"] = {**common, **own} if isinstance(own, dict) else own
        found.append(_complete(item, stamps, new_id))
    if sum(map(len, found)) > EXPANDED_BYTES:
        raise too_large(BATCH)
    return found


def _items(request: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    items = request.get(BATCH)
    if not isinstance(items, list):
        raise InvalidArgumentError(
            "batch is missing or no list; send the messages as a list named batch",
            reason="BAD_BATCH",
            field=BATCH,
        )
    if len(items) > MOST_MESSAGES:
        raise InvalidArgumentError(
            f"the batch has {len(items)} messages; send at most {MOST_MESSAGES} at once",
            reason="TOO_MANY_MESSAGES",
            field=BATCH,
            limit=MOST_MESSAGES,
        )
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise InvalidArgumentError(
                f"message {index} of the batch is not a JSON object; nothing of it was stored",
                reason="BAD_MESSAGE",
                field=BATCH,
                index=index,
            )
        if len(orjson.dumps(item)) > MESSAGE_BYTES:
            raise _message_too_large(index)
    return items


def _context(request: Mapping[str, Any]) -> Mapping[str, Any]:
    context = request.get("context") or {}
    if not isinstance(context, dict):
        raise InvalidArgumentError(
            "context of the batch is not an object; leave it out or send an object",
            reason="BAD_BATCH",
            field="context",
        )
    return context


def _complete(
    message: Mapping[str, Any], stamps: Mapping[str, Any], new_id: Callable[[], str]
) -> bytes:
    whole = {**message, **stamps}
    whole.pop(_KEY, None)
    if whole.get("messageId") in (None, ""):
        whole["messageId"] = new_id()
    return orjson.dumps(whole)


def _message_too_large(index: int) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"message {index} has more than {MESSAGE_BYTES:,} bytes; send less in it",
        reason="MESSAGE_TOO_LARGE",
        index=index,
        limit=MESSAGE_BYTES,
    )
