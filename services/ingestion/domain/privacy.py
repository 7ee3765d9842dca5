"""Keeps names and addresses of persons out of the warehouse."""

import re
from enum import Enum
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_PERSONAL = {
    "email", "emailaddress", "mail", "phone", "phonenumber", "mobile", "telephone",
    "firstname", "lastname", "fullname", "surname", "givenname", "familyname", "middlename",
    "address", "street", "streetaddress", "billingaddress", "shippingaddress",
    "birthday", "dateofbirth", "ip", "ipaddress", "username", "avatar", "customername",
    "userid", "anonymousid", "previousid",
}  # fmt: skip
_NAMELESS_OBJECTS = {
    "products", "app", "campaign", "device", "library", "network", "os", "page", "referrer",
    "screen", "timezone",
}  # fmt: skip
_PRODUCT_KEYS = {"productid", "sku"}
_EMAIL = (
    r"[A-Za-z0-9._+\-]+(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._+\-]*)*"
    r"(?:@|%40)[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+"
)
REDACTED = "[email]"


class _Key(Enum):
    PLAIN = 0
    PERSONAL = 1
    NAME = 2
    PRODUCT = 3


@lru_cache(maxsize=8192)  # sources use few keys, each in every event
def _kind_of(key: str) -> _Key:
    plain = re.sub(r"[^a-z]", "", key.lower())
    if plain in _PERSONAL or plain.endswith("email"):
        return _Key.PERSONAL
    if plain == "name":
        return _Key.NAME
    return _Key.PRODUCT if plain in _PRODUCT_KEYS else _Key.PLAIN


def is_personal(key: str) -> bool:
    """Say whether a property of this name tells who somebody is.

    >>> [is_personal(key) for key in ("email", "first_name", "E-Mail", "colour")]
    [True, True, True, False]
    """
    return _kind_of(key) is _Key.PERSONAL


def scrubbed(value: Any, within: str = "") -> Any:
    """Return a JSON value without personal properties, however deep they lie.

    `name` is a person's unless its object is a product or one of Segment's technical objects.
    """
    if isinstance(value, dict):
        kinds = {key: _kind_of(key) for key in value}
        may_have_name = within in _NAMELESS_OBJECTS or _Key.PRODUCT in kinds.values()
        return {
            key: scrubbed(item, key) if isinstance(item, dict | list) else item
            for key, item in value.items()
            if (kind := kinds[key]) is not _Key.PERSONAL
            and (kind is not _Key.NAME or may_have_name)
        }
    if isinstance(value, list):
        return [scrubbed(item, within) for item in value]
    return value


def may_hold_address(texts: pa.Array) -> bool:
    """Say whether any text may hold an e-mail address; one look at all bytes, so it is cheap."""
    values = texts.buffers()[2]
    if values is None:
        return False
    data = values.to_pybytes()
    return b"@" in data or b"%40" in data


def redacted(texts: pa.Array) -> pa.Array:
    """Return texts with e-mail addresses taken out, also where a URL hides them.

    >>> redacted(pa.array(["/pay?to=ana%40example.com&x=1", "plain"])).to_pylist()
    ['/pay?to=[email]&x=1', 'plain']
    """
    if not may_hold_address(texts):
        return texts
    return pc.replace_substring_regex(texts, _EMAIL, REDACTED)
