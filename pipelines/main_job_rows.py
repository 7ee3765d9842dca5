"""The rows of predictions.csv: what the job says of every known customer."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipelines.report.contacts import reason_cells
from pipelines.report.customers import reasons_of

COLUMNS = (
    *("user", "p_active", "spend", "p0", "p1", "p2", "p3", "eligible", "reason"),
    *("segment", "value_low", "value_high", "raises", "lowers"),
)

_MAIL = re.compile(r"[^@\s]+@[^@\s]+")
# Digits alone are an ordinary id unless they begin as a dialled number does.
_PHONE = re.compile(
    r"\+[\d\s().-]{7,20}|0\d{9,14}|\(?\d{2,4}\)?[\s.-]\(?\d{2,4}\)?[\s.-][\d\s.-]{3,}"
)


def is_contact(source_id: str) -> bool:
    """Say whether an id is itself an e-mail address or a phone number.

    >>> [is_contact(text) for text in ("17850", "ana@example.com", "+44 7911 123456", "A-12")]
    [False, True, True, False]
    """
    text = source_id.strip()
    return bool(_MAIL.fullmatch(text) or _PHONE.fullmatch(text))


def shown_id(user_key: int, source_id: str, *, keep_ids: bool) -> str:
    """Return how a user is called in files: the id at the source, or the pseudonym in hex.

    The pseudonym stands where the id is unknown and, unless ids are kept, where the id itself
    would be enough to write to or call the person.
    """
    if source_id and (keep_ids or not is_contact(source_id)):
        return source_id
    return f"{user_key:016x}"


def predictions_csv(predictions: pa.Table, shown_ids: Mapping[int, str]) -> bytes:
    """Return the file, a row a customer, ordered by the id shown.

    Args:
        predictions: Columns of the `predictions` table.
        shown_ids: What each user_key is called in files.
    """
    rows = sorted(_row(row, shown_ids) for row in predictions.to_pylist())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()


def _row(row: Mapping[str, Any], shown_ids: Mapping[int, str]) -> list[str]:
    return [
        shown_ids[row["user_key"]],
        f"{row['active_probability']:.6f}",
        f"{row['expected_value_micros'] / 1e6:.4f}",
        *(f"{value:.6f}" for value in row["segment_probabilities"]),
        "true" if row["eligible"] else "false",
        row["ineligible_reason"],
        str(row["segment"]),
        f"{row['value_low_micros'] / 1e6:.4f}",
        f"{row['value_high_micros'] / 1e6:.4f}",
        *reason_cells(reasons_of(row["reasons"])),
    ]
