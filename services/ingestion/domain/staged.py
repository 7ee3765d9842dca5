"""Events before validation: each part in a column, still as the source wrote it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Places = npt.NDArray[np.int64]

TYPES = ("track", "identify", "page", "screen", "group", "alias")
ORDER_COMPLETED = "Order Completed"
ORDER_REFUNDED = "Order Refunded"
ORDER_CANCELLED = "Order Cancelled"
REFUNDS = (ORDER_REFUNDED, ORDER_CANCELLED)
MONEY_EVENTS = (ORDER_COMPLETED, *REFUNDS)
CONSENT = pa.map_(pa.string(), pa.bool_())


@dataclass(frozen=True)
class Products:
    """The products of each event: one list a row, or one flat array with offsets for speed."""

    offsets: pa.Array
    """int32, one more than rows."""
    ids: pa.Array
    prices: pa.Array
    """Text or numbers; null where unknown."""
    quantities: pa.Array
    """Text or numbers; null means one."""

    def lists(self, values: pa.Array) -> pa.Array:
        """Return values of the products as one list a row."""
        return pa.ListArray.from_arrays(self.offsets, values)

    def take(self, chosen: pa.Array) -> "Products":
        """Return the products of some rows."""
        ids, prices, quantities = (
            self.lists(values).take(chosen) for values in (self.ids, self.prices, self.quantities)
        )
        return Products(ids.offsets, ids.flatten(), prices.flatten(), quantities.flatten())


@dataclass(frozen=True)
class StagedEvents:
    """A batch of events whose columns have equal length; text unless said otherwise."""

    type: pa.Array
    event: pa.Array
    message_id: pa.Array
    """Null where the source gives none."""
    user_id: pa.Array
    anonymous_id: pa.Array
    timestamp: pa.Array
    """Text, timestamps, dates or numbers."""
    amount: pa.Array
    """Text or numbers; the revenue of an order, or what a refund gave back."""
    order_id: pa.Array
    campaign: pa.Array
    channel: pa.Array
    consent: pa.Array
    properties: pa.Array
    """JSON without typed and personal properties; empty when nothing is left."""
    context: pa.Array
    canonical: Callable[[pa.Array], pa.Array]
    """Text of the rows at some places, equal for equal rows; for rows without a message id."""
    products: Products
    previous_id: pa.Array | None = None
    """Former id, for alias."""
    original_timestamp: pa.Array | None = None
    sent_at: pa.Array | None = None
    received_at: pa.Array | None = None
    stream: pa.Array | None = None
    """Partition of the bus each row came from; None for other doors."""
    stream_offset: pa.Array | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    """Names of these columns at the source, for messages."""

    def __len__(self) -> int:
        return len(self.event)

    def take(self, places: Places) -> "StagedEvents":
        """Return some of the rows, in the order of the places."""
        chosen = pa.array(places)
        columns = {
            each.name: value.take(chosen)
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), pa.Array)
        }
        return replace(
            self,
            **columns,
            products=self.products.take(chosen),
            canonical=lambda wanted: self.canonical(chosen.take(wanted)),
        )

    def name_of(self, column: str) -> str:
        """Return what the source calls a column."""
        return self.fields.get(column, column)


def no_products(length: int) -> Products:
    """Return products for rows that have none."""
    nothing = pa.array([], pa.string())
    offsets = pa.array(np.zeros(length + 1, dtype=np.int32))
    return Products(offsets, nothing, nothing, nothing)


def no_consent(length: int) -> pa.Array:
    """Return consent for rows that say nothing of it."""
    offsets = pa.array(np.zeros(length + 1, dtype=np.int32))
    return pa.MapArray.from_arrays(offsets, pa.array([], pa.string()), pa.array([], pa.bool_()))


def repeated(text: str | None, length: int) -> pa.Array:
    """Return a column of one text."""
    return pa.repeat(pa.scalar(text, pa.string()), length)
