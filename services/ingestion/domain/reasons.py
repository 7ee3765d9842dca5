"""The closed set of reasons for which a row is kept as rejected."""

import re
from enum import Enum


class Reason(Enum):
    """Why a row was not stored; the value says what it means and how to mend it."""

    MISSING_ID = "names neither a user nor an anonymous visitor; give one of the two"
    MISSING_FIELD = "is empty but needed; fill it, or give it a `default` in the mapping"
    BAD_TIMESTAMP = (
        "is not a time from 1970 on; write ISO 8601, or name its `formats` or `unit` in the mapping"
    )
    FUTURE_TIMESTAMP = (
        "lies more than `limits.future_days` after now; correct the clock or the time zone"
    )
    BAD_NUMBER = "is not a number; mind `decimal`, `thousands` and `null_values` in the mapping"
    NEGATIVE_PRICE = (
        "is below zero; record a refund as its own order, or set `negative_price: accept`"
    )
    BAD_ENCODING = "holds bytes that are not text in the file's encoding; set `encoding`"
    FIELD_TOO_LARGE = "is longer than `limits.field_bytes`; shorten it or raise the limit"
    BAD_JSON = "is not one JSON object; write one object a line"
    WRONG_COLUMN_COUNT = "has not as many fields as the header; quote fields that hold delimiters"
    UNCLOSED_QUOTE = "opens a quote that is never closed; double the quotes inside fields"
    UNKNOWN_TYPE = "is none of track, identify, page, screen, group, alias"
    BAD_FIELD_TYPE = "has the wrong JSON type; see the Segment spec for the field"


_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
_SHOWN_CHARACTERS = 40


def shape(value: str) -> str:
    """Return the look of a value without its content, fit to be stored beside the reason.

    A bad field may hold anything, also an e-mail address out of the next column.

    >>> shape("31.12.2011, Ana")
    '99.99.9999, aaa'
    """
    cut = value[:_SHOWN_CHARACTERS]
    look = _LETTER.sub("a", _DIGIT.sub("9", cut))
    return look + "…" if len(value) > _SHOWN_CHARACTERS else look


def message(reason: Reason, field: str, value: str | None) -> str:
    """Say what is wrong with a field and how to mend it.

    >>> message(Reason.BAD_NUMBER, "price", "9a")[:34]
    "price '9a' is not a number; mind `"
    """
    shown = "" if value is None else f" {value!r}"
    return f"{field or 'the row'}{shown} {reason.value}"
