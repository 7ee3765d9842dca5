"""Compiles the label "how long until it happens": the first awaited event of a user's horizon.

>>> condition_of("Product Viewed")
"event = 'Product Viewed'"
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from shared.features.algebra import Events
from shared.features.calendar import Instant, Spine, day_start, milliseconds
from shared.features.sources import CONDITIONS

ORDER, ANY_EVENT = "order", "event"

KIND = "waits"
"""Of a version that says when something happens."""


def condition_of(awaited: str) -> str:
    """Return when an event is the one awaited.

    Args:
        awaited: "order", "event" for any, or an event's name; prediction files let no quotes in.
    """
    if awaited == ANY_EVENT:
        return CONDITIONS[Events.ANY]
    return CONDITIONS[Events.PURCHASES] if awaited == ORDER else f"event = '{awaited}'"


def compile_waits(awaited: str, spine: Spine, source: str, *, has_ranges: bool = False) -> str:
    """Write the statement for the milliseconds from each instant to the first awaited event.

    Its rows are (user_key, as_of_index, wait_ms), in no order; a row is there when the event
    happened at the instant or later and before the end of the horizon. It takes the parameters of
    the source.

    Args:
        awaited: What is waited for.
        spine: At which instants, with a horizon.
        source: Statement of the events as known: user_key, event, event_time, gross_micros.
        has_ranges: Whether the source also says between which instants (first_index, last_index)
            a row counts for its user.
    """
    zone = ZoneInfo(spine.zone)
    assert spine.horizon_days is not None
    instants = ",\n  ".join(
        f"({index}, {instant.time_ms}, {milliseconds(_end(instant, spine.horizon_days, zone))})"
        for index, instant in enumerate(spine.instants, spine.first_index)
    )
    ranges = ", first_index, last_index" if has_ranges else ""
    ranged = " AND t.1 BETWEEN first_index AND last_index" if has_ranges else ""
    return (
        "SELECT user_key, toUInt16(instant.1) AS as_of_index,\n"
        "  min(ms) - toInt64(any(instant.2)) AS wait_ms\n"
        "FROM (SELECT user_key, toUnixTimestamp64Milli(event_time) AS ms"
        f"{ranges}\nFROM ({source})\nWHERE {condition_of(awaited)})\n"
        f"ARRAY JOIN arrayFilter(t -> ms >= t.2 AND ms < t.3{ranged}, [\n  {instants}])"
        " AS instant\n"
        "GROUP BY user_key, as_of_index"
    )


def _end(instant: Instant, horizon_days: int, zone: ZoneInfo) -> datetime:
    return day_start(instant.day + horizon_days, zone)
