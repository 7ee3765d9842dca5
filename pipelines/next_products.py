"""Products that customers are likely to order next, as a file."""

import csv
import io
from collections.abc import Mapping, Sequence

import pyarrow as pa

PREDICTION, STAGE = "next_product", "next products"
PLACES = 10
COLUMNS = (
    "user",
    *(f"r{place}" for place in range(1, PLACES + 1)),
    *(f"n{place}" for place in range(1, PLACES + 1)),
)


def next_products_csv(table: pa.Table, shown_ids: Mapping[int, str]) -> bytes:
    """Return the file, a row a customer, ordered by the id shown.

    Args:
        table: user_key and lists of products, the likeliest first.
        shown_ids: What each user_key is called in files; others are left out.
    """
    rows = sorted(
        [shown_ids[row["user_key"]], *_places(row["any"]), *_places(row["new"])]
        for row in table.to_pylist()
        if row["user_key"] in shown_ids
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()


def _places(products: Sequence[str]) -> list[str]:
    return [*products, *[""] * (PLACES - len(products))]
