"""Keyed pseudonyms: what the warehouse knows a person by instead of the id at the source."""

import hashlib
import hmac


def user_key(secret: bytes, source_id: str) -> int:
    """Return the pseudonym of a user under a workspace's key.

    The first 8 bytes, big-endian, of HMAC-SHA256 over "user:" and the id; never 0, which means
    that no user is known.

    >>> user_key(b"secret", "ana") == user_key(b"secret", "ana") != user_key(b"other", "ana")
    True
    """
    return _key(secret, "user:" + source_id)


def anonymous_key(secret: bytes, source_id: str) -> int:
    """Return the pseudonym of a visitor without an account; never equal by rule to a user's."""
    return _key(secret, "anonymous:" + source_id)


def _key(secret: bytes, text: str) -> int:
    digest = hmac.digest(secret, text.encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big") or 1
