"""The list of customers to contact, as rows and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.report.audiences import Audience
from pipelines.report.customers import Customers, Reasons, band, reasons_of

SEGMENTS = ("nothing", "low", "middle", "high")

COLUMNS = (
    "user",
    "audience",
    "rank",
    "probability",
    "percentile",
    "band",
    "expected_value",
    "value_low",
    "value_high",
    "segment",
    "spend_last_year",
    "orders",
    "days_since_order",
    "raises",
    "lowers",
)

# A spreadsheet runs a cell that starts so; an id of a source must not become a program.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Contact:
    """One customer to contact."""

    user: str
    audience: str
    rank: int
    probability: float
    percentile: float
    band: str
    value_micros: int
    low_micros: int
    high_micros: int
    segment: str
    past_micros: int
    order_count: int
    recency_days: float
    reasons: Reasons


def contacts_of(
    customers: Customers, audience: Audience, limit: int | None = None
) -> Iterator[Contact]:
    """Yields the members of an audience, the most worthwhile first."""
    for rank, place in enumerate(audience.members[:limit].tolist(), start=1):
        yield Contact(
            user=str(customers.ids[place]),
            audience=audience.name,
            rank=rank,
            probability=float(customers.active[place]),
            percentile=float(customers.percentile[place]),
            band=band(float(customers.percentile[place])),
            value_micros=int(customers.value_micros[place]),
            low_micros=int(customers.low_micros[place]),
            high_micros=int(customers.high_micros[place]),
            segment=SEGMENTS[int(customers.segment[place])],
            past_micros=int(customers.past_micros[place]),
            order_count=int(customers.order_count[place]),
            recency_days=float(customers.recency_days[place]),
            reasons=reasons_of(customers.reasons_json[place]),
        )


def contacts_csv(contacts: Iterable[Contact]) -> str:
    """Returns the contacts as CSV with a header; money in currency units."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in contacts:
        writer.writerow(
            [
                safe_cell(each.user),
                each.audience,
                each.rank,
                f"{each.probability:.4f}",
                f"{each.percentile:.1f}",
                each.band,
                f"{each.value_micros / 1e6:.2f}",
                f"{each.low_micros / 1e6:.2f}",
                f"{each.high_micros / 1e6:.2f}",
                each.segment,
                f"{each.past_micros / 1e6:.2f}",
                each.order_count,
                "" if math.isnan(each.recency_days) else f"{each.recency_days:.0f}",
                *reason_cells(each.reasons),
            ]
        )
    return out.getvalue()


def reason_cells(reasons: Reasons) -> tuple[str, str]:
    """Returns the columns `raises` and `lowers`."""
    return safe_cell("; ".join(reasons.raising)), safe_cell("; ".join(reasons.lowering))


def safe_cell(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula.

    >>> safe_cell("=1+1"), safe_cell("ana@example.org"), safe_cell("-12")
    ("'=1+1", 'ana@example.org', '-12')
    """
    if not text.startswith(_FORMULA_STARTS) or _is_plain_number(text):
        return text
    return f"'{text}"


def _is_plain_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdecimal() and text[0] in "+-"
