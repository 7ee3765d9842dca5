"""What is known to be stored while a source is taken in."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.identity import Words, text_keys
from services.ingestion.domain.keyset import KeySet
from services.ingestion.domain.pseudonyms import Pseudonymiser
from services.ingestion.usecases import stored
from services.ingestion.usecases.ports import Vault
from shared.warehouse import Warehouse


class Memory(Protocol):
    """Answers what is stored already."""

    def messages(self, ids: pa.Array, first: int, last: int) -> KeySet:
        """Return a set that holds those of some message ids that are stored."""

    def sales(self, order_ids: pa.Array) -> KeySet:
        """Return a set that holds those of some orders that have a sale."""

    def edges(self, from_keys: pa.Array) -> pa.Table:
        """Return stored pairs of keys, at least those that start at some."""


class FileMemory:
    """For a file: reads all that is stored once, so that re-reading any old file is exact."""

    def __init__(self, warehouse: Warehouse, source: str) -> None:
        self._warehouse, self.source = warehouse, source
        self._messages: KeySet | None = None
        self._sales: KeySet | None = None
        self._edges: pa.Table | None = None

    def messages(self, ids: pa.Array, first: int, last: int) -> KeySet:  # noqa: ARG002
        """See `Memory.messages`."""
        if self._messages is None:
            self._messages = KeySet(stored.message_keys(self._warehouse))
        return self._messages

    def sales(self, order_ids: pa.Array) -> KeySet:  # noqa: ARG002
        """See `Memory.sales`."""
        if self._sales is None:
            self._sales = KeySet(stored.sale_keys(self._warehouse, self.source))
        return self._sales

    def edges(self, from_keys: pa.Array) -> pa.Table:  # noqa: ARG002
        """See `Memory.edges`."""
        if self._edges is None:
            self._edges = stored.earliest_edges(self._warehouse)
        return self._edges

    def learn(self, messages: Words, sales: Words, edges: pa.Table) -> None:
        """Take note of what anybody has stored since."""
        if self._messages is not None:
            self._messages.add(messages)
        if self._sales is not None:
            self._sales.add(sales)
        if self._edges is not None and edges.num_rows:
            self._edges = pa.concat_tables([self._edges, edges.select(stored.EDGES.names)])


class StreamMemory:
    """For events of today: asks for the ids at hand, 30 days around their time."""

    def __init__(self, warehouse: Warehouse, source: str) -> None:
        self._warehouse, self._source = warehouse, source

    def messages(self, ids: pa.Array, first: int, last: int) -> KeySet:
        """See `Memory.messages`."""
        found = stored.message_keys_among(self._warehouse, ids.to_pylist(), first, last)
        return KeySet(found)

    def sales(self, order_ids: pa.Array) -> KeySet:
        """See `Memory.sales`."""
        wanted = pc.unique(order_ids).to_pylist()
        return KeySet(stored.sale_keys_among(self._warehouse, self._source, wanted))

    def edges(self, from_keys: pa.Array) -> pa.Table:
        """See `Memory.edges`."""
        return stored.edges_among(self._warehouse, from_keys.to_pylist())


@dataclass
class Stores:
    """Where everything goes; shared by all intakes of a process."""

    warehouse: Warehouse
    vault: Vault
    pseudonyms: Pseudonymiser
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held from asking what is stored to storing the rest, so that no event is stored twice."""
    _memories: list[FileMemory] = field(default_factory=list)

    @contextmanager
    def file_memory(self, source: str) -> Iterator[FileMemory]:
        """Lend a memory that hears of what others store meanwhile."""
        memory = FileMemory(self.warehouse, source)
        with self.lock:
            self._memories.append(memory)
        try:
            yield memory
        finally:
            with self.lock:
                self._memories.remove(memory)

    def learn(self, source: str, messages: Words, sales: Words, edges: pa.Table) -> None:
        """Tell all memories what was stored; call it with the lock held."""
        for memory in self._memories:
            memory.learn(messages, sales if memory.source == source else sales[:0], edges)


def sale_texts(source: str, order_ids: pa.Array) -> Words:
    """Return the keys of (source, order) as the warehouse computes them."""
    prefix = pa.scalar(source + stored.SALE_SEPARATOR)
    return text_keys(pc.binary_join_element_wise(prefix, order_ids, ""))
