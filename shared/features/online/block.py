"""A block of events as arrays, with what matches and what is read of each in numpy's words."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import InvalidArgumentError
from shared.features.algebra import EVENT_NAMES, ORDER_COMPLETED, Events, Property
from shared.features.layers import Measure
from shared.features.online.outcomes import Keys, Mask, Whole

COLUMNS = (
    "message_id",
    "event",
    "user_key",
    "anonymous_key",
    "event_time",
    "ingest_time",
    "order_part",
    "gross_micros",
    "net_micros",
    "product_ids",
    "quantities",
)
"""What is read of a row of `events`."""

NO_TIME = np.iinfo(np.int64).max
"""Stands for an instant that did not come; later than every as_of."""

_MICROS = 1e6


class EventBlock:
    """Rows of `events` in the order in which they arrived.

    Raises:
        InvalidArgumentError: A column is missing; the message names it.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        missing = [name for name in COLUMNS if name not in batch.schema.names]
        if missing:
            raise InvalidArgumentError(
                f"a block of events lacks the columns {', '.join(missing)}; send all of "
                f"{', '.join(COLUMNS)}, as table `events` has them",
                reason="COLUMNS_MISSING",
                columns=", ".join(missing),
            )
        self._batch = batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def filter(self, chosen: Mask) -> "EventBlock":
        """Return some of the rows."""
        return self if chosen.all() else EventBlock(self._batch.filter(pa.array(chosen)))

    @property
    def message_ids(self) -> pa.Array:
        """Ids by which a duplicate is known."""
        return self._batch.column("message_id")

    @cached_property
    def user_keys(self) -> Keys:
        """0 where no user is named."""
        return _numbers(self._batch, "user_key")

    @cached_property
    def anonymous_keys(self) -> Keys:
        """0 where no visitor is named."""
        return _numbers(self._batch, "anonymous_key")

    @cached_property
    def keys(self) -> Keys:
        """Whose event it is: the user's, else the visitor's, else 0."""
        return np.where(self.user_keys != 0, self.user_keys, self.anonymous_keys)

    @cached_property
    def times_ms(self) -> Whole:
        """When each happened."""
        return _instants(self._batch, "event_time")

    @cached_property
    def ingest_ms(self) -> Whole:
        """When each became known."""
        return _instants(self._batch, "ingest_time")

    @cached_property
    def _codes(self) -> tuple[Whole, Sequence[str]]:
        encoded = self._batch.column("event")
        if not pa.types.is_dictionary(encoded.type):
            encoded = encoded.dictionary_encode()
        return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()

    @cached_property
    def _is_bought(self) -> Mask:
        is_bought: Mask = self._is_named((ORDER_COMPLETED,)) & (self._whole("gross_micros") > 0)
        return is_bought

    def matches(self, events: Events) -> Mask:
        """Say of each row whether it is one of some events."""
        match events:
            case Events.ANY:
                return np.ones(len(self), np.bool_)
            case Events.ORDERS:
                is_order: Mask = self._is_bought & (self._whole("order_part") == 0)
                return is_order
            case Events.PURCHASES:
                return self._is_bought
        return self._is_named(EVENT_NAMES[events])

    def values(self, measure: Measure, otherwise: int = 0) -> Whole:
        """Return what a measure reads of each row; money and items in whole micros.

        Args:
            measure: Which rows match, and what is read of them; of no property, 1.
            otherwise: Stands for rows that do not match.
        """
        value: Whole
        match measure.reads:
            case Property.TIME:
                value = self.times_ms
            case Property.GROSS:
                value = self._whole("gross_micros")
            case Property.NET:
                value = self._whole("net_micros")
            case Property.REFUNDED:
                value = self._whole("gross_micros") - self._whole("net_micros")
            case Property.ITEMS:
                value = self._items
            case _:
                value = np.ones(len(self), np.int64)
        return np.where(self.matches(measure.events), value, otherwise)

    @cached_property
    def _items(self) -> Whole:
        lists = self._batch.column("quantities")
        rows = pc.list_parent_indices(lists).to_numpy()
        counts = np.maximum(lists.flatten().to_numpy(zero_copy_only=False), 0.0)
        items: Whole = np.rint(_MICROS * np.bincount(rows, counts, len(self))).astype(np.int64)
        return items

    def products(self, events: Events) -> tuple[Whole, pa.Array]:
        """Return the products in matching rows: the row of each, and its id."""
        lists = self._batch.column("product_ids")
        rows = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
        is_matching = self.matches(events)[rows]
        return rows[is_matching], lists.flatten().filter(pa.array(is_matching))

    def _is_named(self, names: Sequence[str]) -> Mask:
        codes, known = self._codes
        return np.array([name in names for name in known], np.bool_)[codes]

    def _whole(self, name: str) -> Whole:
        return _numbers(self._batch, name).astype(np.int64)


def _numbers(batch: pa.RecordBatch, name: str) -> npt.NDArray[np.uint64]:
    numbers: npt.NDArray[np.uint64] = batch.column(name).to_numpy(zero_copy_only=False)
    return numbers


def _instants(batch: pa.RecordBatch, name: str) -> Whole:
    column = batch.column(name).cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
    instants: Whole = column.to_numpy(zero_copy_only=False)
    return instants
