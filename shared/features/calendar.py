"""Days of the workspace's zone, as whole numbers counted from 1970-01-01."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = date(1970, 1, 1)


def local_day(instant: datetime, zone: ZoneInfo) -> int:
    """Return the day of an instant in a zone.

    >>> local_day(datetime(2011, 6, 11, 23, 30, tzinfo=UTC), ZoneInfo("Europe/London"))
    15137
    """
    return (instant.astimezone(zone).date() - _EPOCH).days


def day_start(day: int, zone: ZoneInfo) -> datetime:
    """Return the first instant of a day in a zone, in UTC.

    >>> day_start(15137, ZoneInfo("Europe/London")).isoformat()
    '2011-06-11T23:00:00+00:00'
    """
    local = _EPOCH + timedelta(days=day)
    return datetime(local.year, local.month, local.day, tzinfo=zone).astimezone(UTC)


def milliseconds(instant: datetime) -> int:
    """Return an instant as whole milliseconds from 1970-01-01 in UTC."""
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return delta // timedelta(milliseconds=1)


@dataclass(frozen=True)
class Instant:
    """An as_of: the first instant of a day."""

    day: int
    time: datetime

    @property
    def time_ms(self) -> int:
        """The instant in whole milliseconds."""
        return milliseconds(self.time)


@dataclass(frozen=True)
class Spine:
    """The instants at which every user known by then gets a row.

    Attributes:
        instants: Ascending.
        zone: IANA name of the zone whose midnights part days.
        horizon_days: Length of the label window; None leaves labels out.
        first_index: Place of the first instant among those of the whole dataset.
    """

    instants: tuple[Instant, ...]
    zone: str
    horizon_days: int | None = None
    first_index: int = 0

    def runs(self, length: int) -> Iterator["Spine"]:
        """Cut the spine into runs of instants."""
        for start in range(0, len(self.instants), length):
            yield replace(
                self,
                instants=self.instants[start : start + length],
                first_index=self.first_index + start,
            )

    @property
    def end(self) -> datetime:
        """First instant that no row may look at."""
        last = self.instants[-1]
        if self.horizon_days is None:
            return last.time
        return day_start(last.day + self.horizon_days, ZoneInfo(self.zone))
