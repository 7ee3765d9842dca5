"""Turns what the services answered into what a report is made from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from oriel.ingestion.v1.ingestion_pb2 import GetWorkspaceSummaryResponse
from pipelines.report.inputs import MonthSales, RejectCount, WindowSales, WorkspaceTotals

YEAR = timedelta(days=365)


def totals_of(summary: GetWorkspaceSummaryResponse) -> WorkspaceTotals:
    """Returns the summary of a workspace as plain values, rejects ordered by count."""
    rejects = [RejectCount(each.reason, each.field, each.count) for each in summary.rejections]
    return WorkspaceTotals(
        event_count=summary.event_count,
        user_count=summary.user_count,
        order_count=summary.order_count,
        gross_micros=summary.gross_micros,
        net_micros=summary.net_micros,
        anonymous_order_count=summary.anonymous_order_count,
        anonymous_gross_micros=summary.anonymous_gross_micros,
        line_count=summary.line_count,
        anonymous_line_count=summary.anonymous_line_count,
        rejected_count=summary.rejected_count,
        rejects=tuple(sorted(rejects, key=lambda each: (-each.count, each.reason, each.field))),
        first_event_time=_instant(summary, "first_event_time"),
        last_event_time=_instant(summary, "last_event_time"),
        months=tuple(
            MonthSales(
                each.month,
                each.order_count,
                each.buyer_count,
                each.gross_micros,
                each.net_micros,
            )
            for each in sorted(summary.months, key=lambda each: each.month)
        ),
    )


def window_sales(
    totals_before: Callable[[datetime], WorkspaceTotals], start_time: datetime, days: int, zone: str
) -> WindowSales | None:
    """Returns the sales in the days from an instant; None where history starts after it.

    Args:
        totals_before: The totals of all events before an instant.
        start_time: First instant of the window.
        days: Length of the window in days of the zone.
        zone: IANA name of the workspace's zone.
    """
    end_time = shift(start_time, timedelta(days=days), zone)
    end = totals_before(end_time)
    if end.first_event_time is None or end.first_event_time > shift(
        start_time, timedelta(days=1), zone
    ):
        return None
    start = totals_before(start_time)
    return WindowSales(
        start_time=start_time,
        end_time=end_time,
        order_count=end.order_count - start.order_count,
        gross_micros=end.gross_micros - start.gross_micros,
        net_micros=end.net_micros - start.net_micros,
        anonymous_gross_micros=end.anonymous_gross_micros - start.anonymous_gross_micros,
    )


def shift(time: datetime, by: timedelta, zone: str) -> datetime:
    """Moves an instant by days of a zone, so that midnights stay midnights, and returns it in UTC.

    >>> shift(datetime(2025, 3, 30, 22, tzinfo=UTC), timedelta(days=-1), "Europe/Paris").hour
    23
    """
    # Datetime arithmetic inside one zone keeps the wall clock, which is what a shop calls a day.
    return (time.astimezone(ZoneInfo(zone)) + by).astimezone(UTC)


def _instant(summary: GetWorkspaceSummaryResponse, field: str) -> datetime | None:
    if not summary.HasField(field):  # type: ignore[arg-type]
        return None
    stamp: Timestamp = getattr(summary, field)
    return stamp.ToDatetime(tzinfo=UTC)
