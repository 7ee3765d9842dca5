"""Takes in what the bus delivered: events, poison and tombstones, slice by slice."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.claimed_warehouse import ClaimedWarehouse
from services.ingestion.usecases.memory import StreamMemory
from services.ingestion.usecases.ports import Layout, Refusal, Tally
from services.ingestion.usecases.positions import Position, position_rows
from services.ingestion.usecases.stream_batch import stream_batch
from services.ingestion.usecases.stream_letters import StreamLetterBox
from shared.bus import Message, Partition, Record, Writer

DOOR = "bus"
_MAPPING = "segment"

Slice = Mapping[Partition, Sequence[Record]]


@dataclass(frozen=True)
class StreamTopics:
    """Full names of the topics that matter to ingestion."""

    live: Collection[str]
    """Events known when they were sent."""
    backfill: Collection[str]
    """Events of the past, known when they happened."""
    dead: str
    """Gets what is refused."""


class StreamIntake:
    """Stores slices of the bus so that a slice that is taken twice is stored once.

    Args:
        circumstances: The workspace.
        warehouse: Where to, under claims.
        topics: Which topic means what.
        writer: Sends what is refused to its topic.
    """

    def __init__(
        self,
        circumstances: Circumstances,
        warehouse: ClaimedWarehouse,
        topics: StreamTopics,
        writer: Writer,
    ) -> None:
        stores = replace(circumstances.stores, warehouse=warehouse)
        self._circumstances = replace(circumstances, stores=stores)
        self._warehouse, self._topics, self._writer = warehouse, topics, writer

    def take(
        self, slice_: Slice, epochs: Mapping[str, int], positions: Mapping[str, Position]
    ) -> Tally:
        """Store a slice under claims; it counts as stored once this returns.

        Args:
            slice_: Consecutive records of some partitions.
            epochs: Claims of these partitions, by their text.
            positions: How far they are stored with the slice, by their text.

        Raises:
            FailedPreconditionError: A claim was lost; the slice belongs to somebody else.
            UnavailableError: The warehouse or the bus is away; take it again later.
        """
        with self._warehouse.under({str(each): epochs[str(each)] for each in slice_}):
            done = Tally()
            for topics, is_live in ((self._topics.live, True), (self._topics.backfill, False)):
                lane = {each: slice_[each] for each in slice_ if each.topic in topics}
                if lane:
                    done += self._take(lane, is_live=is_live)
            self._warehouse.insert("stream_positions", position_rows(epochs, positions))
        return done

    def close(self) -> None:
        """Let go of the bus."""
        self._writer.close()

    def _take(self, lane: Slice, *, is_live: bool) -> Tally:
        records = [
            (partition, record)
            for partition, some in lane.items()
            for record in some
            if record.value is not None
        ]
        if not records:
            return Tally()
        sources = self._circumstances.sources
        mapping = replace(sources.mapping(_MAPPING), source=DOOR)
        rules = self._circumstances.rules(mapping, is_live=is_live)
        stores = self._circumstances.stores
        letters = StreamLetterBox(
            stores,
            source=DOOR,
            layout=Layout("jsonl", _MAPPING, is_live=is_live),
            now_milliseconds=rules.now_milliseconds,
        )
        memory = StreamMemory(stores.warehouse, DOOR)
        intake = self._circumstances.intake(rules, memory, letters)
        done = intake.take(stream_batch(records, rules.now_milliseconds))
        for place, refusal in letters.refused:
            self._writer.send(dead_letter(self._topics.dead, *records[place], refusal))
        if letters.refused:
            self._writer.flush()
        return done


def dead_letter(topic: str, partition: Partition, record: Record, refusal: Refusal) -> Message:
    """Return a refused record as it came, with why and from where in further headers."""
    told = {
        "oriel-reason": refusal.reason,
        "oriel-field": refusal.field,
        "oriel-message": refusal.message,
        "oriel-topic": partition.topic,
        "oriel-partition": str(partition.number),
        "oriel-offset": str(record.offset),
    }
    added = [(name, text.encode()) for name, text in told.items()]
    return Message(topic, record.key, record.value, [*record.headers, *added])
