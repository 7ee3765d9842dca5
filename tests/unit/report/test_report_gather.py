"""What the services answer becomes what a report is made from."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from oriel.ingestion.v1 import ingestion_pb2
from pipelines.report import totals_of, window_sales
from pipelines.report.gather import shift


def stamp(time):
    message = Timestamp()
    message.FromDatetime(time)
    return message


def summary(first, days):
    """A shop that sells one order of 10 a day, 3 of it without a customer."""
    return ingestion_pb2.GetWorkspaceSummaryResponse(
        order_count=days,
        gross_micros=days * 10_000_000,
        net_micros=days * 9_000_000,
        anonymous_gross_micros=days * 3_000_000,
        first_event_time=stamp(first),
        last_event_time=stamp(first + timedelta(days=days)),
    )


def totals_before_of(first):
    return lambda time: totals_of(summary(first, (time - first).days))


def test_totals_keep_every_count_and_put_rejects_in_order():
    answer = ingestion_pb2.GetWorkspaceSummaryResponse(
        event_count=5,
        user_count=2,
        rejected_count=4,
        rejections=[
            ingestion_pb2.RejectionCount(reason="B", field="b", count=1),
            ingestion_pb2.RejectionCount(reason="A", field="a", count=3),
        ],
        months=[
            ingestion_pb2.MonthSummary(month="2025-02", order_count=2, gross_micros=7),
            ingestion_pb2.MonthSummary(month="2025-01", order_count=1, gross_micros=5),
        ],
    )
    totals = totals_of(answer)
    assert (totals.event_count, totals.user_count, totals.rejected_count) == (5, 2, 4)
    assert [each.reason for each in totals.rejects] == ["A", "B"]
    assert [(each.month, each.gross_micros) for each in totals.months] == [
        ("2025-01", 5),
        ("2025-02", 7),
    ]
    assert totals.first_event_time is None


def test_a_window_is_what_lies_between_two_instants():
    first = datetime(2024, 1, 1, tzinfo=UTC)
    start = first + timedelta(days=100)
    window = window_sales(totals_before_of(first), start, 90, "UTC")
    assert (window.order_count, window.gross_micros, window.net_micros) == (
        90,
        900_000_000,
        810_000_000,
    )
    assert window.anonymous_gross_micros == 270_000_000
    assert window.end_time == start + timedelta(days=90)


def test_a_window_that_history_does_not_reach_is_none():
    first = datetime(2024, 1, 10, tzinfo=UTC)
    before = first - timedelta(days=30)
    assert window_sales(totals_before_of(first), before, 90, "UTC") is None
    assert window_sales(lambda _: totals_of(summary(first, 0)), first, 90, "UTC") is not None


def test_a_workspace_without_events_has_no_window():
    empty = totals_of(ingestion_pb2.GetWorkspaceSummaryResponse())
    assert window_sales(lambda _: empty, datetime(2024, 1, 1, tzinfo=UTC), 90, "UTC") is None


def test_days_are_days_of_the_zone():
    midnight = datetime(2025, 3, 30, 22, tzinfo=UTC)  # in Paris, after the clocks went forward
    assert shift(midnight, timedelta(days=-1), "Europe/Paris") == datetime(
        2025, 3, 29, 23, tzinfo=UTC
    )
