"""Where the scorer of a stream stands, in the warehouse."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields

import pyarrow as pa

from services.inference.domain.stream_counts import Counts
from services.inference.domain.trigger import Memory, Told, is_beyond
from services.inference.usecases.stream_scoring import Question
from shared.features.online import COLUMNS
from shared.warehouse import Warehouse

_COUNTS = tuple(each.name for each in fields(Counts))
_HISTORY = "stream = ''"


@dataclass(frozen=True)
class Place:
    """How far a stream is scored."""

    next_offset: int = 0
    counts: Counts = field(default_factory=Counts)


def places(warehouse: Warehouse, streams: Collection[str]) -> Mapping[str, Place]:
    """Return how far streams are scored; those never begun are left out."""
    rows = warehouse.query(
        f"""SELECT stream, next_offset, {", ".join(_COUNTS)} FROM stream_scores
        WHERE stream IN {{streams:Array(String)}}
        ORDER BY stream, next_offset DESC LIMIT 1 BY stream""",
        {"streams": sorted(streams)},
    ).to_pylist()
    return {
        row["stream"]: Place(row["next_offset"], Counts(**{name: row[name] for name in _COUNTS}))
        for row in rows
    }


def place_rows(epochs: Mapping[str, int], found: Mapping[str, Place]) -> pa.Table:
    """Return rows of `stream_scores`."""
    columns = {
        "stream": pa.array(list(found), pa.string()),
        "next_offset": [each.next_offset for each in found.values()],
        "epoch": [epochs[stream] for stream in found],
        **{name: [getattr(each.counts, name) for each in found.values()] for name in _COUNTS},
    }
    return pa.table(
        {
            name: values if name == "stream" else pa.array(values, pa.uint64())
            for name, values in columns.items()
        }
    )


def logged_offsets(warehouse: Warehouse, stream: str, next_offset: int) -> frozenset[int]:
    """Return the messages from an offset on whose predictions are stored already."""
    found = warehouse.query(
        """SELECT stream_offset FROM predictions
        WHERE stream = {stream:String} AND stream_offset >= {next_offset:Int64}""",
        {"stream": stream, "next_offset": next_offset},
    )
    return frozenset(found["stream_offset"].to_pylist())


def memory_of(warehouse: Warehouse, stream: str, next_offset: int, question: Question) -> Memory:
    """Return what was told of the users of a stream before an offset."""
    side = "churn_probability" if question.is_of_leaving else "active_probability"
    found = warehouse.query(
        f"""SELECT trigger_key,
            argMax(toUnixTimestamp64Milli(as_of), stream_offset) AS as_of_ms,
            argMax({side}, stream_offset) AS probability
        FROM predictions WHERE stream = {{stream:String}} AND stream_offset < {{before:Int64}}
        GROUP BY trigger_key""",
        {"stream": stream, "before": next_offset},
    )
    columns = (found[name].to_pylist() for name in ("trigger_key", "as_of_ms", "probability"))
    return Memory(
        {
            key: Told(as_of_ms - 1, is_beyond(question.rule, probability))
            for key, as_of_ms, probability in zip(*columns, strict=True)
        }
    )


def history(warehouse: Warehouse) -> Iterator[pa.RecordBatch]:
    """Yield the events that did not come over the bus, as they became known."""
    yield from warehouse.stream(
        f"SELECT {', '.join(COLUMNS)} FROM events WHERE {_HISTORY} "
        "ORDER BY ingest_time, event_time, message_id"
    )


def history_edges(warehouse: Warehouse) -> Iterator[pa.RecordBatch]:
    """Yield which keys those events named together."""
    yield from warehouse.stream(
        "SELECT message_id, from_key, to_key, event_time FROM identity "
        f"WHERE message_id IN (SELECT message_id FROM events WHERE {_HISTORY}) "
        "ORDER BY event_time, message_id"
    )
