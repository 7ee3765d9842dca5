"""Keep one partition's features up and predict where an event calls for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from services.inference.domain.prediction import Flags, Floats, Keys, ModelFacts, Outputs
from services.inference.domain.reasons import ineligible_reason
from services.inference.domain.stream_counts import Counts
from services.inference.domain.stream_cut import cuts
from services.inference.domain.trigger import Memory, basis, called, denied, due, tell
from services.inference.usecases.batch import PREDICTIONS, answer_columns
from services.inference.usecases.ports import Model
from shared.bus.decoded import DecodedEvents
from shared.bus.port import Record
from shared.config.prediction import Eligibility
from shared.config.stream import StreamRule
from shared.features.online import Applied, Outcome, Rows, Status

STREAM_PREDICTIONS = pa.schema(
    [
        *PREDICTIONS,
        ("stream", pa.string()),
        ("stream_offset", pa.int64()),
        ("trigger_key", pa.uint64()),
        ("consent_basis", pa.string()),
    ]
)
"""Columns of the table for what was predicted over the bus."""

_DAY_MS = 86_400_000


class KeptFeatures(Protocol):
    """Features of a partition kept up event by event."""

    @property
    def offsets(self) -> Mapping[str, int]:
        """Of each stream, the offset of the first message that is not in the state."""

    @property
    def watermark_ms(self) -> int:
        """Instant of the newest event so far."""

    def apply(
        self,
        block: pa.RecordBatch,
        offsets: Mapping[str, int],
        edges: pa.RecordBatch | None = None,
    ) -> Applied:
        """Take a block in."""

    def rows(self, user_keys: Keys, as_of_ms: int | NDArray[np.int64]) -> Rows:
        """Return the features of some users, each at its instant."""


@dataclass(frozen=True)
class Question:
    """What is predicted over the bus.

    Attributes:
        name: Name of the prediction.
        rule: Which events call for it.
        eligible: About whom it is asked.
        columns: Features kept: those of the model first, then others that eligibility reads.
        is_of_leaving: Whether its probability is that of no order, rather than of one.
        lateness_ms: The allowed lateness of the features.
    """

    name: str
    rule: StreamRule
    eligible: Eligibility
    columns: tuple[str, ...]
    is_of_leaving: bool
    lateness_ms: int


@dataclass(frozen=True)
class Scored:
    """What came of consecutive messages of a partition."""

    counts: Counts
    predictions: pa.Table
    places: Sequence[int]
    """Of each prediction, the place of its message among those given."""


class PartitionScorer:
    """Takes the messages of one partition in order.

    Args:
        stream: Name of the prediction and the partition, as it is logged.
        features: Kept for this partition alone.
        memory: What was told of its users.
        question: What is predicted.
    """

    def __init__(
        self, stream: str, features: KeptFeatures, memory: Memory, question: Question
    ) -> None:
        self.stream, self._features, self._memory = stream, features, memory
        self._question = question

    def follow(self, decoded: DecodedEvents, next_offset: int) -> None:
        """Take in messages that were accounted for before the features were last written."""
        self._features.apply(decoded.rows, {self.stream: next_offset}, decoded.edges)

    def score(self, decoded: DecodedEvents, records: Sequence[Record], model: Model) -> Scored:
        """Take messages in, and predict."""
        rows, offsets = decoded.rows, [record.offset for record in records]
        outcomes = np.empty(rows.num_rows, np.uint8)
        is_denied = denied(self._question.rule, rows.column("consent").to_pylist())
        wanted = called(self._question.rule, rows.column("event").to_pylist())
        users, visitors = (_whole(rows, name) for name in ("user_key", "anonymous_key"))
        times_ms = rows.column("event_time").cast(pa.int64()).to_numpy()
        known_ms = rows.column("ingest_time").cast(pa.int64()).to_numpy()
        keys = np.where(users != 0, users, visitors)
        tables: list[pa.Table] = []
        told: list[NDArray[np.int64]] = []
        suppressed = 0
        start = 0
        ends = cuts(
            users,
            visitors,
            times_ms,
            known_ms,
            watermark_ms=self._features.watermark_ms,
            lateness_ms=self._question.lateness_ms,
            span_ms=max(self._question.lateness_ms - 2 * _DAY_MS, 0),
        )
        for end in ends or [0]:
            block = rows.slice(start, end - start)
            is_last = end == rows.num_rows
            until = offsets[-1] + 1 if is_last else offsets[int(decoded.places[end])]
            edges = decoded.edges
            if not (start == 0 and is_last):
                edges = edges.filter(
                    pc.is_in(edges.column("message_id"), block.column("message_id"))
                )
            applied = self._features.apply(block, {self.stream: until}, edges).outcomes
            outcomes[start:end] = applied
            fresh = applied == Outcome.APPLIED
            suppressed += int((fresh & wanted[start:end] & is_denied[start:end]).sum())
            places = start + np.flatnonzero(fresh & wanted[start:end] & ~is_denied[start:end])
            told.append(self._predict(places, keys, times_ms, model, tables, decoded, offsets))
            start = end
        chosen = np.concatenate(told)
        counts = Counts(
            consumed=len(records),
            predicted=len(chosen),
            dead=sum(decoded.refused.values()),
            late=int((outcomes == Outcome.LATE).sum()),
            duplicate=int((outcomes == Outcome.DUPLICATE).sum()),
            suppressed=suppressed,
        )
        rest = counts.consumed - sum(counts.outcomes.values())
        table = pa.concat_tables(tables) if tables else STREAM_PREDICTIONS.empty_table()
        return Scored(counts + Counts(not_triggered=rest), table, decoded.places[chosen].tolist())

    def _predict(
        self,
        places: NDArray[np.int64],
        keys: Keys,
        times_ms: NDArray[np.int64],
        model: Model,
        tables: list[pa.Table],
        decoded: DecodedEvents,
        offsets: Sequence[int],
    ) -> NDArray[np.int64]:
        rule = self._question.rule
        places = places[due(rule, self._memory, keys[places], times_ms[places])]
        if not len(places):
            return places
        # An instant sees what happened before it: the event itself belongs to what is known.
        found = self._features.rows(keys[places], times_ms[places] + 1)
        is_somebody = found.status != Status.UNKNOWN
        places, values, persons = (
            each[is_somebody] for each in (places, found.values, found.persons)
        )
        if not len(places):
            return places
        width = len(model.facts.features)
        eligible = self._eligible(values)
        outputs = model.predict(np.ascontiguousarray(values[:, :width]), eligible)
        is_told = tell(
            rule,
            self._memory,
            keys[places],
            times_ms[places],
            probabilities(outputs, is_of_leaving=self._question.is_of_leaving),
        )
        chosen = np.flatnonzero(is_told)
        if len(chosen):
            consents = decoded.rows.column("consent").take(pa.array(places[chosen])).to_pylist()
            tables.append(
                _table(
                    model.facts,
                    outputs,
                    chosen,
                    stream=self.stream,
                    offsets=[offsets[place] for place in decoded.places[places[chosen]]],
                    trigger_keys=keys[places[chosen]],
                    persons=np.where(persons != 0, persons, keys[places])[chosen],
                    as_of_ms=times_ms[places[chosen]] + 1,
                    eligible=eligible[chosen],
                    why_not=ineligible_reason(str(self._question.eligible)),
                    bases=[basis(rule, consent) for consent in consents],
                )
            )
        return places[chosen]

    def _eligible(self, values: Floats) -> Flags:
        found = np.ones(len(values), np.bool_)
        for condition in self._question.eligible.conditions:
            found &= condition.holds(values[:, self._question.columns.index(condition.feature)])
        return found


def probabilities(outputs: Outputs, *, is_of_leaving: bool) -> Floats:
    """Return the probability that a question is about."""
    return outputs.churn_probability if is_of_leaving else outputs.active_probability


def _table(
    facts: ModelFacts,
    outputs: Outputs,
    rows: NDArray[np.int64],
    *,
    stream: str,
    offsets: Sequence[int],
    trigger_keys: Keys,
    persons: Keys,
    as_of_ms: NDArray[np.int64],
    eligible: Flags,
    why_not: str,
    bases: Sequence[str],
) -> pa.Table:
    count = len(rows)
    as_of = pa.array(as_of_ms).cast(pa.timestamp("ms", "UTC"))
    horizon_ms = round(facts.horizon.total_seconds() * 1000)
    columns = {
        "prediction_id": [
            xxhash.xxh3_128_hexdigest(f"{stream}|{offset}".encode()) for offset in offsets
        ],
        "user_key": persons,
        "model_version": [facts.name] * count,
        "feature_set_version": [facts.feature_set_version] * count,
        "dataset_hash": [""] * count,
        "as_of": as_of,
        "horizon_end": pa.array(as_of_ms + horizon_ms).cast(pa.timestamp("ms", "UTC")),
        **answer_columns(outputs, rows),
        # A user's place among all is known to batches alone.
        "percentile": np.full(count, np.nan),
        "eligible": eligible,
        "ineligible_reason": np.where(eligible, "", why_not),
        "reasons": ["[]"] * count,
        "stream": [stream] * count,
        "stream_offset": np.asarray(offsets, np.int64),
        "trigger_key": trigger_keys,
        "consent_basis": list(bases),
    }
    return pa.table(columns, schema=STREAM_PREDICTIONS)


def _whole(rows: pa.RecordBatch, name: str) -> Keys:
    keys: Keys = rows.column(name).to_numpy(zero_copy_only=False)
    return keys
