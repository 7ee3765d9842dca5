"""Takes events in that were sent just now."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from services.ingestion.domain.batch import JSON_COLUMN, Batch
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.letters import DurableLetterBox
from services.ingestion.usecases.memory import StreamMemory
from services.ingestion.usecases.ports import Layout, Tally
from shared.errors import InvalidArgumentError

MOST_EVENTS = 10_000
DOOR = "grpc"


def ingest_events(circumstances: Circumstances, events: Sequence[bytes], source: str) -> Tally:
    """Store Segment events; returns once they are durable.

    Raises:
        InvalidArgumentError: Too many at once.
    """
    if len(events) > MOST_EVENTS:
        raise InvalidArgumentError(
            f"{len(events)} events in one request; send at most {MOST_EVENTS}",
            reason="TOO_MANY_EVENTS",
            count=len(events),
            limit=MOST_EVENTS,
        )
    mapping = replace(circumstances.sources.mapping("segment"), source=source or DOOR)
    rules = circumstances.rules(mapping, is_live=True)
    letters = DurableLetterBox(
        circumstances.stores,
        source=mapping.source,
        origin=DOOR,
        layout=Layout("jsonl", mapping.name, is_live=True),
        mapping_name=mapping.name,
        now_milliseconds=rules.now_milliseconds,
    )
    memory = StreamMemory(circumstances.stores.warehouse, mapping.source)
    batch = Batch(
        pa.table({JSON_COLUMN: pa.array(events, pa.large_binary())}),
        pa.array(range(len(events)), pa.int64()),
        lambda places: [events[place] for place in places],
    )
    intake = circumstances.intake(rules, memory, letters)
    return intake.take(batch)
