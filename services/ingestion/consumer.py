"""Stores the events of the partitions that a member of the group has."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence

from services.ingestion.usecases.claimed_warehouse import ClaimedWarehouse
from services.ingestion.usecases.ingest_stream import StreamIntake
from services.ingestion.usecases.positions import Position, stored_positions
from shared.bus import Partition, Record
from shared.warehouse import Warehouse
from shared.warehouse.claims import claim, sweep


class StreamStorage:
    """The `Work` of a member that stores events.

    It takes the claim of each partition in the warehouse and reads on behind what is stored there;
    the offsets that the broker is told are for tools that show lag.

    Args:
        warehouse: Where claims and positions are.
        intake: Makes what stores slices, for a warehouse under claims.
    """

    def __init__(
        self, warehouse: Warehouse, intake: Callable[[ClaimedWarehouse], StreamIntake]
    ) -> None:
        self._warehouse, self._make_intake = warehouse, intake
        self._claimed = ClaimedWarehouse(warehouse, uuid.uuid4().hex)
        self._intake: StreamIntake | None = None
        self._epochs: dict[str, int] = {}
        self._positions: dict[str, Position] = {}

    def begin(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """See `Work.begin`."""
        self._opened()
        streams = [str(each) for each in partitions]
        self._epochs |= claim(self._warehouse, streams, self._claimed.owner)
        self._positions |= stored_positions(self._warehouse, streams)
        return {each: self._positions[str(each)].next_offset for each in partitions}

    def take(self, records: Mapping[Partition, Sequence[Record]]) -> Mapping[Partition, int]:
        """See `Work.take`."""
        positions = {
            str(each): self._positions[str(each)].after(some) for each, some in records.items()
        }
        self._opened().take(records, self._epochs, positions)
        self._positions |= positions
        return {each: positions[str(each)].next_offset for each in records}

    def end(self, partitions: Collection[Partition]) -> None:
        """See `Work.end`."""
        for partition in partitions:
            del self._epochs[str(partition)], self._positions[str(partition)]

    def forget(self) -> None:
        """See `Work.forget`."""
        self._epochs.clear()
        self._positions.clear()
        self._claimed.forget()

    def close(self) -> None:
        """See `Work.close`."""
        intake, self._intake = self._intake, None
        try:
            self._claimed.close()
        finally:
            if intake is not None:
                intake.close()

    def _opened(self) -> StreamIntake:
        if self._intake is None:
            sweep(self._warehouse)
            self._intake = self._make_intake(self._claimed)
        return self._intake
