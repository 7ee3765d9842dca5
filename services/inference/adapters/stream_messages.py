"""Predictions as messages of the bus."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import orjson
import pyarrow as pa

from shared.bus import CloudEvent, Message, Partition, Record, child_trace, header_texts

TYPE = "oriel.prediction.v1"

_TOLD = (
    "prediction_id",
    "model_version",
    "as_of",
    "horizon_end",
    "active_probability",
    "churn_probability",
    "expected_value_micros",
    "value_low_micros",
    "value_high_micros",
    "segment",
    "segment_probabilities",
    "eligible",
    "ineligible_reason",
    "consent_basis",
)


def prediction_messages(
    topic: str, partition: Partition, predictions: pa.Table, records: Sequence[Record]
) -> Iterator[Message]:
    """Yield a message for each prediction, in the partition of the same number.

    Args:
        topic: Full name of the topic.
        partition: Where the records came from.
        predictions: What was said.
        records: What called for each.
    """
    rows = predictions.select([*_TOLD, "user_key", "stream"]).to_pylist()
    for row, record in zip(rows, records, strict=True):
        name = row.pop("stream").partition("|")[0]
        told = {"prediction": name, **row, "user_key": str(row["user_key"])}
        event = CloudEvent(
            id=row["prediction_id"],
            source=f"oriel/{name}",
            type=TYPE,
            time=datetime.fromtimestamp(record.timestamp / 1000, UTC),
            subject=told["user_key"],
            trace=child_trace(header_texts(record.headers).get("traceparent", "")),
        )
        origin = [
            ("oriel-topic", partition.topic.encode()),
            ("oriel-partition", str(partition.number).encode()),
            ("oriel-offset", str(record.offset).encode()),
        ]
        yield Message(
            topic,
            record.key,
            orjson.dumps(told, option=orjson.OPT_UTC_Z),
            [*event.headers(), *origin],
            partition=partition.number,
        )
