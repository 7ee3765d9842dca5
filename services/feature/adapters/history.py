"""The history of events as known at an instant; the only place whose SQL reads events."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa

from services.feature.domain.persons import Edges, FirstSeen, Members
from services.feature.usecases.ports import Extent
from shared.features import Events
from shared.features.sources import CONDITIONS
from shared.warehouse import Warehouse

_COLUMNS = "event, event_time, order_part, gross_micros, net_micros, product_ids, quantities"
_KNOWN = (
    "event_time < {end:DateTime64(3, 'UTC')} AND ingest_time <= {known_at:DateTime64(3, 'UTC')}"
)

RESOLVED = f"SELECT user_key, {_COLUMNS} FROM events WHERE user_key != 0 AND {_KNOWN}"
"""Events of users where no two keys are one person."""

RESOLVED_BY_EDGES = f"""\
SELECT if(members.person = 0, events.user_key, members.person) AS user_key,
  members.first_index AS first_index,
  if(members.person = 0, 65535, members.last_index) AS last_index,
  {_COLUMNS}
FROM events
LEFT JOIN (
  SELECT key, person, first_index, last_index FROM persons
  WHERE resolution = {{resolution:String}}
) AS members ON members.key = if(events.user_key != 0, events.user_key, events.anonymous_key)
WHERE (events.user_key != 0 OR members.person != 0) AND {_KNOWN}"""
"""Events by person; `persons` says who is who at which instants."""


class EventHistory:
    """Reads events through the warehouse.

    Args:
        warehouse: Where events lie.
        time_zone: IANA name of the workspace's zone.
    """

    def __init__(self, warehouse: Warehouse, time_zone: str) -> None:
        self._warehouse = warehouse
        self._zone = time_zone

    def extent(self, end: datetime, known_at: datetime) -> Extent:
        """Return how far the events of users reach before an instant."""
        rows = self._warehouse.query(
            f"""SELECT count() AS events, min(event_time) AS first_event,
                  countIf({CONDITIONS[Events.ORDERS]}) AS orders,
                  minIf(event_time, {CONDITIONS[Events.ORDERS]}) AS first_order,
                  max(event_time) AS last_event
                FROM events WHERE user_key != 0 AND {_KNOWN}""",
            {"end": end, "known_at": known_at},
        ).to_pylist()[0]
        return Extent(
            rows["first_event"] if rows["events"] else None,
            rows["first_order"] if rows["orders"] else None,
            rows["last_event"] if rows["events"] else None,
        )

    def last_event_time(self) -> datetime | None:
        """Return the instant of the last event of all, or None."""
        rows = self._warehouse.query(
            "SELECT count() AS events, max(event_time) AS last FROM events"
        ).to_pylist()[0]
        return rows["last"] if rows["events"] else None

    def uniqueness(self, end: datetime, known_at: datetime) -> Mapping[str, int]:
        """Count the events that count, and their different message ids."""
        parameters = {"end": end, "known_at": known_at}

        def ask(identity: str) -> Mapping[str, int]:
            rows = self._warehouse.query(
                f"SELECT count() AS count, uniqExact({identity}) AS unique FROM events"
                f" WHERE {_KNOWN}",
                parameters,
            ).to_pylist()[0]
            return {"count": int(rows["count"]), "unique": int(rows["unique"])}

        # Different hashes prove different ids; equal ones may be chance, so then the ids decide.
        hashed = ask("cityHash64(message_id)")
        return hashed if hashed["count"] == hashed["unique"] else ask("message_id")

    def edges(self, end: datetime, known_at: datetime) -> tuple[Edges, FirstSeen]:
        """Return which keys are one person, and when each user key among them was first seen."""
        parameters = {"end": end, "known_at": known_at}
        pairs = self._warehouse.query(
            f"""SELECT from_key, to_key, min(event_time) AS first FROM identity
                WHERE {_KNOWN} GROUP BY from_key, to_key ORDER BY from_key, to_key""",
            parameters,
        )
        seen = self._warehouse.query(
            f"""SELECT user_key, min(event_time) AS first FROM events
                WHERE user_key != 0 AND {_KNOWN} AND user_key IN (
                  SELECT from_key FROM identity WHERE {_KNOWN}
                  UNION DISTINCT SELECT to_key FROM identity WHERE {_KNOWN})
                GROUP BY user_key ORDER BY user_key""",
            parameters,
        )
        return (
            Edges(_keys(pairs, "from_key"), _keys(pairs, "to_key"), _ms(pairs)),
            FirstSeen(_keys(seen, "user_key"), _ms(seen)),
        )

    @contextmanager
    def resolution(self, name: str, members: Members) -> Iterator[str]:
        """Keep who is who in the warehouse while a dataset reads it."""
        count = len(members.keys)
        table = pa.table(
            {
                "resolution": pa.repeat(name, count),
                "key": pa.array(members.keys, pa.uint64()),
                "person": pa.array(members.persons, pa.uint64()),
                "first_index": pa.array(members.first_index, pa.uint16()),
                "last_index": pa.array(members.last_index, pa.uint16()),
            }
        )
        self._forget(name)  # of a build that was cut off
        self._warehouse.insert("persons", table)
        try:
            yield name
        finally:
            self._forget(name)

    def source(self, *, by_person: bool) -> str:
        """Return the statement that a compiled one reads events from."""
        return RESOLVED_BY_EDGES if by_person else RESOLVED

    def read(
        self, sql: str, end: datetime, known_at: datetime, resolution: str
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a compiled statement."""
        parameters: dict[str, Any] = {"end": end, "known_at": known_at, "zone": self._zone}
        if resolution:
            parameters["resolution"] = resolution
        return self._warehouse.stream(sql, parameters)

    def _forget(self, name: str) -> None:
        self._warehouse.execute(
            "ALTER TABLE persons DROP PARTITION {resolution:String}", {"resolution": name}
        )


def _keys(table: pa.Table, name: str) -> Any:
    return table.column(name).to_numpy()


def _ms(table: pa.Table) -> Any:
    return table.column("first").cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
