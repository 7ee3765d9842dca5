"""The block `stream` of a prediction file: which events call for a prediction as they happen."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.config import strict

ANY_EVENT = "event"
"""Stands for every event."""

_KEYS = ("events", "at_most_every", "crosses", "consent")
_EVENT_NAME = re.compile(r"[^\W_][\w .:/()&+-]{0,99}")
_CATEGORY = re.compile(r"[\w][\w .:/()&+-]{0,99}")
_GAP = re.compile(r"(\d{1,5})([smhd]) per user")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True)
class StreamRule:
    """When an event of a user calls for a prediction, and when it is told."""

    events: tuple[str, ...]
    """Names of events; `event` stands for any."""
    at_most_every: timedelta = timedelta(0)
    """Least time of the events between two predictions of one user."""
    crosses: float | None = None
    """Told only where the probability is on another side of this than when it was last told; a
    user begins below. None tells all."""
    consent: str = ""
    """Category of consent without which nothing is predicted where the event denies it; where it is
    empty, an event that denies all categories it names."""


def parse_stream(value: Any) -> StreamRule:
    """Read the block.

    Raises:
        InvalidArgumentError: Something is unknown, missing or out of range.
    """
    values = strict.mapping("stream", value, _KEYS)
    if "events" not in values:
        raise strict.refusal("stream.events", "it is required: a list of names of events")
    return StreamRule(
        events=_events(values["events"]),
        at_most_every=_gap(values["at_most_every"]) if "at_most_every" in values else timedelta(0),
        crosses=strict.number("stream.crosses", values["crosses"], 0.0, 1.0)
        if "crosses" in values
        else None,
        consent=_category(values["consent"]) if "consent" in values else "",
    )


def _events(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise strict.refusal(
            "stream.events", "must be a list of names of events, such as ['Order Completed']"
        )
    for name in value:
        if not isinstance(name, str) or not _EVENT_NAME.fullmatch(name):
            raise strict.refusal(
                "stream.events",
                f"{name!r} must name an event, such as 'Product Viewed', or be 'event' (any)",
            )
    if len(set(value)) != len(value):
        raise strict.refusal("stream.events", "an event is named twice")
    return tuple(value)


def _gap(value: Any) -> timedelta:
    match = _GAP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise strict.refusal(
            "stream.at_most_every", f"{value!r} must be a time a user, such as '1h per user'"
        )
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def _category(value: Any) -> str:
    if not isinstance(value, str) or not _CATEGORY.fullmatch(value):
        raise strict.refusal(
            "stream.consent", f"{value!r} must be the name of a category of consent"
        )
    return value
