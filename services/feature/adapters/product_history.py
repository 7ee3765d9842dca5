"""The products of orders as known at an instant, read from the warehouse."""

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.feature.domain.product_lines import OrderLines
from shared.features.algebra import ORDER_COMPLETED
from shared.warehouse import Warehouse

_KNOWN = (
    "event_time < {end:DateTime64(3, 'UTC')} AND ingest_time <= {known_at:DateTime64(3, 'UTC')}"
)
_MS_A_DAY = 86_400_000.0

_LINES = f"""\
SELECT if(user_key != 0, user_key, anonymous_key) AS key, user_key != 0 AS is_user,
  toUnixTimestamp64Milli(event_time) AS ms,
  cityHash64(source, key, if(order_id = '', message_id, order_id)) AS order_key,
  product, price_micros[place] / 1e6 AS price
FROM events ARRAY JOIN product_ids AS product, arrayEnumerate(product_ids) AS place
WHERE event = '{ORDER_COMPLETED}' AND gross_micros > 0 AND product != ''
  AND (empty(quantities) OR quantities[place] > 0)
  AND (empty(price_micros) OR price_micros[place] > 0) AND {_KNOWN}
ORDER BY ms, order_key, product, price"""
"""What was paid for; a place of an array that is not there is 0."""


class ProductHistory:
    """Reads the products of orders.

    Args:
        warehouse: Where events lie.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def lines(self, end: datetime, known_at: datetime) -> tuple[OrderLines, npt.NDArray[np.bool_]]:
        """Return lines before an instant, and whether their keys are of identified users."""
        parts = self._warehouse.stream(_LINES, {"end": end, "known_at": known_at})
        table = pa.Table.from_batches(parts)
        ids, products = np.unique(table["product"].to_numpy(), return_inverse=True)
        _, orders = np.unique(table["order_key"].to_numpy(), return_inverse=True)
        lines = OrderLines(
            keys=table["key"].to_numpy(),
            orders=orders,
            products=products,
            days=table["ms"].to_numpy() / _MS_A_DAY,
            prices=table["price"].to_numpy(),
            product_ids=tuple(map(str, ids)),
        )
        return lines, table["is_user"].to_numpy().astype(np.bool_)

    def users(self, end: datetime, known_at: datetime) -> npt.NDArray[np.uint64]:
        """Return the keys of all users of whom anything is known before an instant, ascending."""
        found = self._warehouse.query(
            f"SELECT DISTINCT user_key FROM events WHERE user_key != 0 AND {_KNOWN} "
            "ORDER BY user_key",
            {"end": end, "known_at": known_at},
        )
        keys: npt.NDArray[np.uint64] = found["user_key"].to_numpy()
        return keys
