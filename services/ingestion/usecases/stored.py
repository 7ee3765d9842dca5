"""What the warehouse holds already, asked in one statement each."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from services.ingestion.domain.identity import Words
from services.ingestion.domain.table import IDENTITY
from shared.warehouse import Warehouse

EDGES = pa.schema([IDENTITY.field(name) for name in ("from_key", "to_key", "event_time")])
SALE_SEPARATOR = "\x1f"
STREAM_HORIZON = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDS_A_STATEMENT = 5_000
_TEXT_KEYS = "xxh3({0}) AS high, xxHash64({0}) AS low"
_SALE = "concat(source, '\\x1f', order_id)"


def instant(milliseconds: int) -> datetime:
    """Return an aware datetime, the form parameters take."""
    return _EPOCH + timedelta(milliseconds=int(milliseconds))


def message_keys(warehouse: Warehouse) -> Words:
    """Return the keys of all message ids."""
    return _keys(warehouse, f"SELECT {_TEXT_KEYS.format('message_id')} FROM events", {})


def message_keys_among(
    warehouse: Warehouse, message_ids: Sequence[str], first: int, last: int
) -> Words:
    """Return the keys of those of some ids that are stored near a span of time."""
    sql = f"""
        SELECT {_TEXT_KEYS.format("message_id")} FROM events
        WHERE event_time BETWEEN {{first:DateTime64(3, 'UTC')}} AND {{last:DateTime64(3, 'UTC')}}
          AND message_id IN {{ids:Array(String)}}"""
    span: dict[str, object] = {
        "first": max(instant(first) - STREAM_HORIZON, _EPOCH),
        "last": min(instant(last) + STREAM_HORIZON, datetime(2299, 12, 31, tzinfo=UTC)),
    }
    return _among(warehouse, sql, message_ids, span)


def line_keys(warehouse: Warehouse, source: str, first: int, last: int) -> Words:
    """Return the ids of the order lines of a source in a span of time, as their two words."""
    sql = """
        SELECT reinterpretAsUInt64(unhex(substring(line, 1, 16))) AS high,
               reinterpretAsUInt64(unhex(substring(line, 17, 16))) AS low
        FROM events ARRAY JOIN line_ids AS line
        WHERE source = {source:String}
          AND event_time BETWEEN {first:DateTime64(3, 'UTC')} AND {last:DateTime64(3, 'UTC')}"""
    span = {"first": instant(first), "last": instant(last)}
    return _keys(warehouse, sql, {"source": source, **span})


def sale_keys(warehouse: Warehouse, source: str) -> Words:
    """Return the keys of (source, order) of all orders of a source with a sale."""
    sql = f"""
        SELECT DISTINCT {_TEXT_KEYS.format(_SALE)} FROM events
        WHERE gross_micros > 0 AND source = {{source:String}}"""
    return _keys(warehouse, sql, {"source": source})


def sale_keys_among(warehouse: Warehouse, source: str, order_ids: Sequence[str]) -> Words:
    """Return the keys of those of some orders that have a sale."""
    sql = f"""
        SELECT DISTINCT {_TEXT_KEYS.format(_SALE)} FROM events
        WHERE gross_micros > 0 AND source = {{source:String}}
          AND order_id IN {{ids:Array(String)}}"""
    return _among(warehouse, sql, order_ids, {"source": source})


def earliest_edges(warehouse: Warehouse) -> pa.Table:
    """Return each stored pair of keys with its first event time."""
    return _edges(warehouse, "", {})


def edges_among(warehouse: Warehouse, from_keys: Sequence[int]) -> pa.Table:
    """Return the stored pairs that start at some keys, with their first event time."""
    return _edges(warehouse, "WHERE from_key IN {keys:Array(UInt64)}", {"keys": list(from_keys)})


def rejection_keys(warehouse: Warehouse, source: str) -> Words:
    """Return the keys of all rejections of a source."""
    sql = f"""SELECT {_TEXT_KEYS.format("rejection_id")} FROM events_rejected
        WHERE source = {{source:String}}"""
    return _keys(warehouse, sql, {"source": source})


def rejection_keys_among(warehouse: Warehouse, ids: Sequence[str]) -> Words:
    """Return the keys of those of some rejections that are stored."""
    sql = f"""SELECT {_TEXT_KEYS.format("rejection_id")} FROM events_rejected
        WHERE rejection_id IN {{ids:Array(String)}}"""
    return _among(warehouse, sql, ids, {})


def _edges(warehouse: Warehouse, where: str, parameters: dict[str, object]) -> pa.Table:
    sql = f"""SELECT from_key, to_key, min(i.event_time) AS event_time
        FROM identity AS i {where} GROUP BY from_key, to_key"""
    return warehouse.query(sql, parameters).cast(EDGES)


def _among(
    warehouse: Warehouse, sql: str, ids: Sequence[str], parameters: dict[str, object]
) -> Words:
    parts = [
        _keys(warehouse, sql, {**parameters, "ids": list(ids[start : start + _IDS_A_STATEMENT])})
        for start in range(0, len(ids), _IDS_A_STATEMENT)
    ]
    return np.concatenate(parts) if parts else np.empty((0, 2), dtype=np.uint64)


def _keys(warehouse: Warehouse, sql: str, parameters: dict[str, object]) -> Words:
    table = warehouse.query(sql, parameters)
    return np.stack([table.column(name).to_numpy() for name in ("high", "low")], axis=1)
