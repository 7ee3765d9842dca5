"""The rows of predictions.csv: what the job says of every known customer, by the id of the source."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

COLUMNS = ("user", "p_active", "spend", "p0", "p1", "p2", "p3", "eligible", "reason")

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


def predictions_csv(
    predictions: pa.Table, source_ids: Mapping[int, str], *, keep_ids: bool
) -> bytes:
    """Return the file, a row a customer, ordered by the id shown.

    Args:
        predictions: Columns of the `predictions` table.
        source_ids: Id at the source by user_key.
        keep_ids: Whether e-mail addresses and phone numbers are written as they are.
    """
    rows = sorted(_row(row, source_ids, keep_ids) for row in predictions.to_pylist())
    return csv_bytes(COLUMNS, rows)


def csv_bytes(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> bytes:
    """Return a CSV file with a header, in UTF-8 with Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def _row(row: Mapping[str, Any], source_ids: Mapping[int, str], keep_ids: bool) -> list[str]:
    key = row["user_key"]
    probability: Callable[[float], str] = "{:.6f}".format
    return [
        shown_id(key, source_ids.get(key, ""), keep_ids=keep_ids),
        probability(row["active_probability"]),
        f"{row['expected_value_micros'] / 1e6:.4f}",
        *(probability(value) for value in row["segment_probabilities"]),
        "true" if row["eligible"] else "false",
        row["ineligible_reason"],
    ]
