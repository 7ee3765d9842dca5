"""Counts and sums of what the warehouse holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.ingestion.usecases.stored import instant
from shared.warehouse import Warehouse

_END = 9_000_000_000_000  # the year 2255, as far as parameters reach
# Columns are qualified: some results bear the name of the column they sum.
_IS_SALE = "e.gross_micros > 0"
_ORDER = "(source, order_id)"
_WHERE = "WHERE event_time < {before:DateTime64(3, 'UTC')}"


@dataclass(frozen=True)
class Summary:
    """What is stored, before an instant."""

    counts: Mapping[str, Any]
    """Fields of the response by name."""
    months: Sequence[Mapping[str, Any]]


def summarise(warehouse: Warehouse, before: datetime | None, time_zone: str) -> Summary:
    """Sum up the events before an instant, or all; orders are distinct ids with a sale."""
    moment = before or instant(_END)
    counts = warehouse.query(
        f"""SELECT count() AS event_count,
            uniqExactIf(user_key, user_key != 0) AS user_count,
            uniqExactIf({_ORDER}, {_IS_SALE}) AS order_count,
            sum(e.gross_micros) AS gross_micros,
            sum(e.net_micros) AS net_micros,
            uniqExactIf({_ORDER}, {_IS_SALE} AND user_key = 0) AS anonymous_order_count,
            sumIf(e.gross_micros, user_key = 0) AS anonymous_gross_micros,
            sum(length(line_ids)) AS line_count,
            sumIf(length(line_ids), user_key = 0) AS anonymous_line_count,
            min(event_time) AS first_event_time,
            max(event_time) AS last_event_time,
            max(ingest_time) AS last_ingest_time
        FROM events AS e {_WHERE}""",
        {"before": moment},
    )
    months = warehouse.query(
        f"""SELECT formatDateTime(event_time, '%Y-%m', {{zone:String}}) AS month,
            uniqExactIf({_ORDER}, {_IS_SALE}) AS order_count,
            uniqExactIf(user_key, {_IS_SALE} AND user_key != 0) AS buyer_count,
            sum(e.gross_micros) AS gross_micros,
            sum(e.net_micros) AS net_micros
        FROM events AS e {_WHERE}
        GROUP BY month ORDER BY month""",
        {"before": moment, "zone": time_zone},
    )
    return Summary(counts.to_pylist()[0], months.to_pylist())
