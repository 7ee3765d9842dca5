"""Whether every message that was scored is accounted for, partition by partition."""

from dataclasses import dataclass, fields

from services.inference.domain.stream_counts import Counts
from shared.warehouse import Warehouse

_COUNTS = tuple(each.name for each in fields(Counts))


@dataclass(frozen=True)
class StreamAudit:
    """What became of the messages of a partition, and what the warehouse holds of it."""

    stream: str
    """Name of the prediction and partition."""
    counts: Counts
    logged: int
    """Messages before the place whose predictions are stored."""
    doubled: int
    """Predictions beyond one a message."""

    @property
    def is_exact(self) -> bool:
        """Whether nothing is missing, doubled or unaccounted for."""
        return self.counts.is_exact and self.logged == self.counts.predicted and not self.doubled


def stream_audit(warehouse: Warehouse, prediction: str = "") -> list[StreamAudit]:
    """Return the account of each partition that was scored, of one prediction or all."""
    rows = warehouse.query(
        f"""SELECT s.stream AS stream, {", ".join(f"s.{name} AS {name}" for name in _COUNTS)},
            p.logged AS logged, p.said AS said
        FROM (
            SELECT stream, next_offset, {", ".join(_COUNTS)} FROM stream_scores
            ORDER BY stream, next_offset DESC LIMIT 1 BY stream
        ) AS s
        LEFT JOIN (
            SELECT stream, uniqExact(stream_offset) AS logged, count() AS said
            FROM predictions INNER JOIN (
                SELECT stream, max(next_offset) AS place FROM stream_scores GROUP BY stream
            ) AS ends USING (stream)
            WHERE stream != '' AND stream_offset < place GROUP BY stream
        ) AS p ON p.stream = s.stream
        WHERE {{prefix:String}} = '' OR startsWith(s.stream, {{prefix:String}})
        ORDER BY stream""",
        {"prefix": f"{prediction}|" if prediction else ""},
    ).to_pylist()
    return [
        StreamAudit(
            row["stream"],
            Counts(**{name: row[name] for name in _COUNTS}),
            row["logged"],
            row["said"] - row["logged"],
        )
        for row in rows
    ]
