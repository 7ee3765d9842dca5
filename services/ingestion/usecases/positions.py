"""How far the streams of a bus are stored, kept beside what was stored of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from shared.bus import Record
from shared.warehouse import Warehouse


@dataclass(frozen=True)
class Position:
    """How far a stream is stored, and what was read of it since its claim."""

    next_offset: int = 0
    """Offset after the last one that is stored; 0 where nothing was ever read."""
    read_count: int = 0
    tombstone_count: int = 0

    def after(self, records: Sequence[Record]) -> "Position":
        """Return the position once some records are stored too."""
        tombstones = sum(record.value is None for record in records)
        return Position(
            records[-1].offset + 1,
            self.read_count + len(records),
            self.tombstone_count + tombstones,
        )


def stored_positions(warehouse: Warehouse, streams: Collection[str]) -> dict[str, Position]:
    """Return where streams are read on; ask once they are claimed."""
    table = warehouse.query(
        """SELECT stream, max(p.next_offset) AS next_offset FROM stream_positions AS p
        WHERE stream IN {streams:Array(String)} GROUP BY stream""",
        {"streams": sorted(streams)},
    )
    ends = dict(zip(table["stream"].to_pylist(), table["next_offset"].to_pylist(), strict=True))
    return {stream: Position(ends.get(stream, 0)) for stream in streams}


def position_rows(epochs: Mapping[str, int], positions: Mapping[str, Position]) -> pa.Table:
    """Return rows of `stream_positions`."""
    streams = list(positions)
    counts = list(positions.values())
    return pa.table(
        {
            "stream": streams,
            "epoch": pa.array([epochs[stream] for stream in streams], pa.uint64()),
            "next_offset": pa.array([each.next_offset for each in counts], pa.uint64()),
            "read_count": pa.array([each.read_count for each in counts], pa.uint64()),
            "tombstone_count": pa.array([each.tombstone_count for each in counts], pa.uint64()),
        }
    )
