"""Scores a stream: features kept up and predictions said as events happen, each message once."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from services.inference.adapters import stream_table
from services.inference.adapters.stream_messages import prediction_messages
from services.inference.adapters.stream_state import Opened, PartitionStates
from services.inference.adapters.stream_table import Place
from services.inference.usecases.ports import Model
from services.inference.usecases.stream_scoring import PartitionScorer, Question, Scored
from shared.bus import Partition, Record, Writer
from shared.bus.decoded import EventDecoder
from shared.errors import FailedPreconditionError
from shared.obs.metrics import STREAM_CONSUMED, STREAM_MESSAGES
from shared.warehouse import Warehouse
from shared.warehouse.claims import ClaimedTables, claim

SNAPSHOT_SECONDS = 5.0
"""Between two writes of a partition's features; so much is read again after a crash."""


@dataclass
class _Held:
    """A partition that this member works on."""

    scorer: PartitionScorer
    opened: Opened
    epoch: int
    place: Place
    logged: frozenset[int]
    """Messages beyond the place whose predictions an earlier member stored."""
    snapshot_time: float


class StreamScoring:
    """The `Work` of a member that scores.

    Args:
        question: What is predicted.
        model: Returns the version in force.
        decoder: Reads messages.
        states: Opens features.
        warehouse: Where predictions, places and claims are.
        owner: Unique name of this member; letters and digits.
        writer: Sends predictions; made at the first one.
        topic: Full name of the topic that gets them.
    """

    def __init__(
        self,
        *,
        question: Question,
        model: Callable[[], Model],
        decoder: EventDecoder,
        states: PartitionStates,
        warehouse: Warehouse,
        owner: str,
        writer: Callable[[], Writer],
        topic: str,
    ) -> None:
        self._question, self._model, self._decoder = question, model, decoder
        self._states, self._warehouse = states, warehouse
        self._tables = ClaimedTables(warehouse, owner)
        self._make_writer, self._topic = writer, topic
        self._writer: Writer | None = None
        self._held: dict[Partition, _Held] = {}

    def begin(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """See `Work.begin`."""
        streams = {each: f"{self._question.name}|{each}" for each in partitions}
        epochs = claim(self._warehouse, streams.values(), self._tables.owner)
        places = stream_table.places(self._warehouse, streams.values())
        starts = {}
        for partition, stream in streams.items():
            place = places.get(stream, Place())
            opened = self._states.open(partition, stream, place.next_offset)
            next_offset = place.next_offset
            memory = stream_table.memory_of(self._warehouse, stream, next_offset, self._question)
            self._held[partition] = _Held(
                PartitionScorer(stream, opened.features, memory, self._question),
                opened,
                epochs[stream],
                place,
                stream_table.logged_offsets(self._warehouse, stream, next_offset),
                time.monotonic(),
            )
            starts[partition] = opened.features.offsets.get(stream, 0)
        return starts

    def take(self, records: Mapping[Partition, Sequence[Record]]) -> Mapping[Partition, int]:
        """See `Work.take`."""
        model = self._model()
        _check_columns(self._question, model)
        scored = {}
        for partition, some in records.items():
            found = self._score(partition, some, model)
            if found is not None:
                scored[partition] = found
        if scored:
            self._store(scored)
        self._snapshot(records)
        return {each: some[-1].offset + 1 for each, some in records.items()}

    def end(self, partitions: Collection[Partition]) -> None:
        """See `Work.end`."""
        for partition in partitions:
            self._held.pop(partition).opened.close()

    def forget(self) -> None:
        """See `Work.forget`."""
        self._tables.forget()
        self.end(list(self._held))
        self._drop_writer()

    def close(self) -> None:
        """See `Work.close`."""
        self.end(list(self._held))
        self._drop_writer()
        self._tables.close()

    def _score(
        self, partition: Partition, records: Sequence[Record], model: Model
    ) -> tuple[Scored, Sequence[Record]] | None:
        held = self._held[partition]
        known = [record for record in records if record.offset < held.place.next_offset]
        fresh = records[len(known) :]
        if known:
            # Accounted for before; only the features had not been written yet.
            decoded = self._decoder.decode(partition, known)
            held.scorer.follow(decoded, known[-1].offset + 1)
        if not fresh:
            return None
        return held.scorer.score(self._decoder.decode(partition, fresh), fresh, model), fresh

    def _store(self, scored: Mapping[Partition, tuple[Scored, Sequence[Record]]]) -> None:
        held = {self._held[each].scorer.stream: self._held[each] for each in scored}
        epochs = {stream: each.epoch for stream, each in held.items()}
        tables = []
        for partition, (found, _) in scored.items():
            logged = self._held[partition].logged
            table = found.predictions
            if logged and table.num_rows:
                is_known = pc.is_in(table["stream_offset"], pa.array(sorted(logged), pa.int64()))
                table = table.filter(pc.invert(is_known))
            tables.append(table)
        places = {
            self._held[each].scorer.stream: Place(
                fresh[-1].offset + 1, self._held[each].place.counts + found.counts
            )
            for each, (found, fresh) in scored.items()
        }
        with self._tables.under(epochs):
            self._tables.insert("predictions", pa.concat_tables(tables))
            self._produce(scored)
            self._tables.insert("stream_scores", stream_table.place_rows(epochs, places))
        for partition, (found, _) in scored.items():
            self._held[partition].place = places[self._held[partition].scorer.stream]
            self._count(partition, found)

    def _produce(self, scored: Mapping[Partition, tuple[Scored, Sequence[Record]]]) -> None:
        messages = [
            message
            for partition, (found, fresh) in scored.items()
            for message in prediction_messages(
                self._topic, partition, found.predictions, [fresh[place] for place in found.places]
            )
        ]
        if not messages:
            return
        if self._writer is None:
            self._writer = self._make_writer()
        for message in messages:
            self._writer.send(message)
        self._writer.flush()

    def _count(self, partition: Partition, found: Scored) -> None:
        name = self._question.name
        STREAM_CONSUMED.labels(name, str(partition)).inc(found.counts.consumed)
        for outcome, count in found.counts.outcomes.items():
            STREAM_MESSAGES.labels(name, str(partition), outcome).inc(count)

    def _snapshot(self, partitions: Collection[Partition]) -> None:
        # Only here, right after the claim was found to be the highest.
        now = time.monotonic()
        for partition in partitions:
            held = self._held[partition]
            if now - held.snapshot_time >= SNAPSHOT_SECONDS:
                held.opened.features.snapshot()
                held.snapshot_time = now

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _check_columns(question: Question, model: Model) -> None:
    features = model.facts.features
    if question.columns[: len(features)] != features:
        raise FailedPreconditionError(
            f"{model.facts.name} reads other features than are kept for {question.name}; "
            "start the scorer again",
            reason="STREAM_MODEL_DIFFERS",
            model=model.facts.name,
            prediction=question.name,
        )
