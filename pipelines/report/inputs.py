"""What a report is made from: plain values, so that equal inputs give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from pipelines.next_orders import Due
from pipelines.segments.discovered import Discovered


@dataclass(frozen=True)
class MonthSales:
    """Sales of one calendar month of the workspace's zone; `month` is YYYY-MM."""

    month: str
    order_count: int
    buyer_count: int
    gross_micros: int
    net_micros: int


@dataclass(frozen=True)
class RejectCount:
    """How many events were kept back for one reason in one field."""

    reason: str
    field: str
    count: int


@dataclass(frozen=True)
class WorkspaceTotals:
    """Counts and sums of the events before an instant.

    Attributes:
        order_count: Distinct orders with a sale, with or without a known customer.
        line_count: Order lines behind the events; 0 for sources without lines.
        first_event_time: None while there is no event.
    """

    event_count: int
    user_count: int
    order_count: int
    gross_micros: int
    net_micros: int
    anonymous_order_count: int
    anonymous_gross_micros: int
    line_count: int
    anonymous_line_count: int
    rejected_count: int
    rejects: tuple[RejectCount, ...]
    first_event_time: datetime | None
    last_event_time: datetime | None
    months: tuple[MonthSales, ...]


@dataclass(frozen=True)
class WindowSales:
    """Sales in [start_time, end_time), of everybody, new and unknown customers too."""

    start_time: datetime
    end_time: datetime
    order_count: int
    gross_micros: int
    net_micros: int
    anonymous_gross_micros: int


@dataclass(frozen=True)
class DatasetFacts:
    """What a report tells of a dataset."""

    content_hash: str
    row_count: int
    user_count: int
    feature_count: int
    feature_set_version: str
    as_of_times: tuple[datetime, ...]
    event_count: int
    unique_event_count: int


@dataclass(frozen=True)
class ModelFacts:
    """What a report tells of the model version that predicted.

    Attributes:
        name: models/{model}/versions/{version}.
        dataset_hash: Of the dataset it was trained on.
        segment_limits_micros: Spend that parts low from middle, and middle from high.
    """

    name: str
    dataset_hash: str
    segment_limits_micros: tuple[int, int]


@dataclass(frozen=True)
class ReportInputs:
    """All that a report says, gathered before it is written.

    Attributes:
        source: Where the events come from, as people should read it: "simulator" or a mapping's
            name; never a path.
        is_simulated: Whether the events are a simulator's; said wherever results show.
        as_of_time: The instant predicted from.
        totals: Everything before `as_of_time`.
        last_window: The horizon's length before `as_of_time`; None where history is shorter.
        year_ago_window: The window predicted, one year earlier; None where history is shorter.
        training: The dataset of labelled rows.
        scoring: The dataset of every known customer at `as_of_time`.
        evaluation: The training run's evaluation.json.
        predictions: Columns of the `predictions` table, one row a customer.
        history: One row a customer: `user_key` uint64, `recency_days` float64 (since the last
            order; NaN when none), `order_count` int64, `gross_micros` int64 (in the year before
            `as_of_time`) and, where refunds are known, `net_micros` int64 (the same less refunds),
            which then says how valuable a customer is.
        source_ids: Ids at the source by user_key; a key without one is shown as a pseudonym.
        segments: Discovered segments; None where too few customers have ordered.
        due: When customers order next; None where that could not be learned.
    """

    source: str
    is_simulated: bool
    as_of_time: datetime
    horizon_days: int
    currency: str
    time_zone: str
    totals: WorkspaceTotals
    last_window: WindowSales | None
    year_ago_window: WindowSales | None
    training: DatasetFacts
    scoring: DatasetFacts
    model: ModelFacts
    evaluation: Mapping[str, Any]
    predictions: pa.Table
    history: pa.Table
    source_ids: Mapping[int, str]
    segments: Discovered | None = None
    due: Due | None = None
