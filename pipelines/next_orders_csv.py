"""The rows of next_order.csv: when each customer orders next, and why."""

import csv
import io
from collections.abc import Iterable, Mapping

import numpy as np

from pipelines.next_orders import PARTS, Floats, NextOrders
from pipelines.report.contacts import reason_cells
from pipelines.report.customers import reasons_of

COLUMNS = (
    *("user", "next_order_days", "days_low", "days_high"),
    *("p_order_30d", "p_order_60d", "p_order_90d", "eligible", "raises", "lowers"),
)


def next_orders_csv(orders: NextOrders, shown_ids: Mapping[int, str]) -> bytes:
    """Return the file, a row a customer, ordered by the id shown; a day after the horizon is blank.

    Args:
        orders: Of customers.
        shown_ids: What each user_key is called in files; others are left out.
    """
    days = np.stack([orders.days(level) for level in (0.5, 0.1, 0.9)], axis=1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(_rows(orders, days, shown_ids)))
    return text.getvalue().encode()


def _rows(orders: NextOrders, days: Floats, shown_ids: Mapping[int, str]) -> Iterable[list[str]]:
    third = PARTS // 3
    for place, key in enumerate(orders.user_keys.tolist()):
        if key in shown_ids:
            yield [
                shown_ids[key],
                *("" if np.isnan(each) else f"{each:.1f}" for each in days[place]),
                *(f"{orders.chances[place, each * third - 1]:.6f}" for each in (1, 2, 3)),
                "true" if orders.eligible[place] else "false",
                *reason_cells(reasons_of(orders.reasons_json[place])),
            ]
