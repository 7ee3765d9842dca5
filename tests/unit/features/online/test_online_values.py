"""What is kept up event by event, against the plain reference over random histories."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidArgumentError
from shared.features import FEATURES
from shared.features.calendar import Instant
from shared.features.online import OnlineFeatures, OnlineSettings, Outcome, Status
from shared.features.online.days import LocalDays
from shared.features.reference import feature_value
from tests.support.histories import (
    DAY_MS,
    Edge,
    Row,
    events_table,
    identity_table,
    random_rows,
    reference_events,
)
from tests.support.unshipped_features import UNSHIPPED

FIRST_DAY, LAST_DAY = 15_000, 15_420
USERS, VISITORS = range(1, 7), range(101, 106)
ZONE = "America/Sao_Paulo"
DECLARED = (*FEATURES.values(), *UNSHIPPED)


def batch(rows: Iterable[Row]) -> pa.RecordBatch:
    return one_batch(events_table(rows))


def edge_batch(edges: Iterable[Edge]) -> pa.RecordBatch:
    return one_batch(identity_table(edges))


def one_batch(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.concat_arrays(column.chunks or [pa.array([], column.type)])
            for column in table.columns
        ],
        schema=table.schema,
    )


@dataclass(frozen=True)
class Shop:
    """Rows in the order in which they arrive, and edges with the row after which each does."""

    rows: tuple[Row, ...]
    edges: tuple[tuple[int, Edge], ...]

    def known(self, count: int) -> tuple[list[Row], list[Edge]]:
        """Return what has arrived with the first rows: of a message id, the first."""
        first: dict[str, Row] = {}
        for row in self.rows[:count]:
            first.setdefault(row.message_id, row)
        return list(first.values()), [edge for after, edge in self.edges if after < count]


def random_shop(seed: int) -> Shop:
    """Draw a shop whose events come late, twice and in another order."""
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, USERS, FIRST_DAY, LAST_DAY, 160, visitors=VISITORS)
    ahead = rng.integers(0, 5 * DAY_MS, len(rows))
    rows = [rows[place] for place in np.argsort([row.time_ms for row in rows] + ahead)]
    for _ in range(20):
        place = int(rng.integers(len(rows)))
        again = replace(rows[place], gross_micros=77)
        rows.insert(place + 1 + int(rng.integers(0, 8)), again)
    pairs = [(int(rng.choice(VISITORS)), int(rng.choice(USERS))) for _ in range(5)]
    pairs += [(1, 2), (3, 4)]
    edges = [
        (
            int(rng.integers(len(rows))),
            Edge(
                from_key=one,
                to_key=other,
                time_ms=int(rng.integers(FIRST_DAY, LAST_DAY)) * DAY_MS,
            ),
        )
        for one, other in pairs
    ]
    return Shop(tuple(rows), tuple(edges))


def person(
    key: int, rows: Sequence[Row], edges: Sequence[Edge], before_ms: int
) -> tuple[int, list[Row]]:
    """Search plainly for the person of a key: the name, 0 for nobody, and all of their rows."""
    keys = {key}
    for _ in edges:
        for edge in edges:
            if edge.time_ms < before_ms and keys & {edge.from_key, edge.to_key}:
                keys |= {edge.from_key, edge.to_key}
    theirs = [
        row
        for row in rows
        if (row.user_key or row.anonymous_key) in keys and row.time_ms < before_ms
    ]
    named = [(row.time_ms, row.user_key) for row in theirs if row.user_key]
    return min(named)[1] if named else 0, theirs


def expected(rows: Sequence[Row], instant: Instant) -> list[float]:
    zone = ZoneInfo(ZONE)
    same = [replace(row, user_key=1, anonymous_key=0) for row in rows]
    history = reference_events(same, zone)[1]
    return [feature_value(each.expression, history, instant) for each in DECLARED]


def instant_of(time_ms: int) -> Instant:
    """Return an instant; of one within a day, windows end with the day."""
    day = int(LocalDays(ZONE).ceiling(np.array([time_ms]))[0])
    return Instant(day, datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("online")


def fed(folder, shop: Shop, sizes: Iterable[int], lateness_days: int = 7) -> Iterable[tuple]:
    """Apply a shop in blocks; yield the state and how many rows it has had after each."""
    number = len(list(folder.iterdir()))
    state = OnlineFeatures.open(
        folder / str(number), "0", DECLARED, OnlineSettings(ZONE, timedelta(days=lateness_days))
    )
    with state:
        start = 0
        for size in sizes:
            stop = min(start + size, len(shop.rows))
            edges = [edge for after, edge in shop.edges if start <= after < stop]
            state.apply(batch(shop.rows[start:stop]), {"s": stop}, edge_batch(edges))
            start = stop
            yield state, stop
            if stop == len(shop.rows):
                return


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_values_are_those_of_the_plain_reference_whatever_comes_late_twice_or_joins(folder, seed):
    rng = np.random.default_rng(seed)
    shop = random_shop(seed)
    keys = np.array([*USERS, *VISITORS], np.uint64)
    for state, count in fed(folder, shop, rng.integers(20, 90, 9)):
        rows, edges = shop.known(count)
        newest = max(row.time_ms for row in shop.rows[:count])
        # Back within the lateness, also to a midnight; now; and later, without an event.
        back = newest - int(rng.integers(0, 6 * DAY_MS))
        days = LocalDays(ZONE)
        instants = [back, days.start(back // DAY_MS), newest + 1, newest + 40 * DAY_MS]
        for time_ms in rng.choice(instants, 2, replace=False).tolist():
            found = state.rows(keys, time_ms)
            for place in rng.choice(len(keys), 4, replace=False).tolist():
                key = int(keys[place])
                name, theirs = person(key, rows, edges, time_ms)
                assert found.persons[place] == name
                assert found.status[place] == (Status.PRESENT if name else Status.UNKNOWN)
                if name:
                    np.testing.assert_allclose(
                        found.values[place],
                        expected(theirs, instant_of(time_ms)),
                        rtol=1e-6,
                        atol=1e-9,
                        err_msg=f"{key} at {time_ms} after {count}",
                    )


def order(number: int, day: float, **other) -> Row:
    return Row(
        message_id=f"o{number}",
        event="Order Completed",
        time_ms=int(day * DAY_MS),
        **{"user_key": 1, "gross_micros": 5_000_000, "net_micros": 5_000_000, **other},
    )


def values(state: OnlineFeatures, day: float, key: int = 1) -> list[float]:
    return state.rows(np.array([key]), int(day * DAY_MS)).values[0].tolist()


def test_of_an_empty_state_and_of_empty_blocks_nobody_is_known(state):
    assert len(state.apply(batch([]), {"s": 0}, edge_batch([])).outcomes) == 0
    state.snapshot()
    found = state.rows(np.array([1]), DAY_MS)
    assert found.status.tolist() == [Status.UNKNOWN]
    assert np.isnan(found.values).all()
    assert len(state.rows(np.array([], np.uint64), DAY_MS).values) == 0
    assert state.report().keys == 0


def test_a_window_moves_on_without_an_event(state):
    state.apply(batch([order(1, 100.5)]), {"s": 1})
    # An instant within a day has windows that end with the day, and sees only what was before.
    moments = (100.5, 100.6, 101, 107, 107.1, 108)
    assert np.isnan(values(state, moments[0])[1])
    assert [values(state, day)[1] for day in moments[1:]] == [1, 1, 1, 0, 0]


def test_an_event_older_than_the_lateness_is_counted_and_marks_its_user_for_a_rebuild(state):
    state.apply(batch([order(1, 100), order(2, 110, user_key=2)]), {"s": 2})
    applied = state.apply(batch([order(3, 106), order(4, 108, user_key=2)]), {"s": 4})
    assert applied.outcomes.tolist() == [Outcome.LATE, Outcome.APPLIED]
    found = state.rows(np.array([1, 2]), 111 * DAY_MS)
    assert found.status.tolist() == [Status.STALE, Status.PRESENT]
    assert found.values[:, 0].tolist() == [1, 2]
    assert state.report().stale == 1


def test_an_instant_before_what_is_kept_event_by_event_is_said_to_be_too_old(state):
    state.apply(batch([order(1, 100.5), order(2, 110)]), {"s": 2})
    found = state.rows(np.array([1, 1]), np.array([107 * DAY_MS - 1, 107 * DAY_MS]))
    assert found.status.tolist() == [Status.TOO_OLD, Status.PRESENT]
    assert np.isnan(found.values[0]).all()
    assert set(found.value_status()[0].tolist()) == {Status.TOO_OLD}


def test_an_event_from_the_future_makes_no_other_late(state):
    now = 100 * DAY_MS
    state.apply(batch([order(1, 9_000, ingest_ms=now)]), {"s": 1})
    applied = state.apply(batch([order(2, 100, ingest_ms=now)]), {"s": 2})
    assert applied.count(Outcome.APPLIED) == 1
    assert values(state, 101)[0] == 1


def test_the_first_arrival_of_a_message_id_wins_within_a_block_and_between_blocks(state):
    dearer = order(1, 100, gross_micros=9_000_000)
    applied = state.apply(batch([order(1, 100), dearer]), {"s": 2})
    assert applied.outcomes.tolist() == [Outcome.APPLIED, Outcome.DUPLICATE]
    assert state.apply(batch([dearer]), {"s": 3}).count(Outcome.DUPLICATE) == 1
    assert values(state, 101) == [1, 1, 5, 0]


def test_a_row_of_nobody_is_counted_and_read_by_nobody(state):
    applied = state.apply(batch([order(1, 100, user_key=0), order(2, 100)]), {"s": 2})
    assert applied.outcomes.tolist() == [Outcome.ANONYMOUS, Outcome.APPLIED]
    assert values(state, 101)[0] == 1


def test_a_visitor_who_logs_in_brings_their_orders_from_that_event_on(state):
    visit = order(1, 100, user_key=0, anonymous_key=101)
    login = Row(message_id="l", user_key=1, anonymous_key=101, time_ms=102 * DAY_MS)
    state.apply(batch([visit, order(2, 101), login]), {"s": 3})
    assert values(state, 102)[0] == 1
    assert values(state, 102.1)[0] == 2
    found = state.rows(np.array([101, 101]), np.array([102 * DAY_MS, 103 * DAY_MS]))
    assert found.persons.tolist() == [0, 1]


def test_a_late_event_that_names_two_keys_marks_both(state):
    state.apply(batch([order(1, 110), order(2, 110, user_key=2)]), {"s": 2})
    late = edge_batch([Edge(from_key=1, to_key=2, time_ms=100 * DAY_MS)])
    row = Row(message_id="e0", user_key=1, time_ms=100 * DAY_MS)
    state.apply(batch([row]), {"s": 3}, late)
    found = state.rows(np.array([1, 2]), 111 * DAY_MS)
    assert found.status.tolist() == [Status.STALE, Status.STALE]
    assert found.persons.tolist() == [1, 2]


def test_the_state_of_a_user_grows_with_days_and_not_with_events(state):
    for day in range(100, 160):
        visits = [order(day * 100 + n, day + n / 100) for n in range(50)]
        state.apply(batch(visits), {"s": day})
    assert values(state, 160)[0] == 3_000
    # The last days event by event, all others as a row each, and room to grow: 3,000 rows of
    # 4 numbers would take 96,000 bytes.
    assert state.report().parts["sales rows"] < 96_000 / 4


def test_a_feature_outside_the_algebra_is_refused_by_name(tmp_path):
    strange = replace(FEATURES["orders_ever"], name="strange", expression="SELECT 1")
    with pytest.raises(InvalidArgumentError, match="strange cannot be kept up event by event"):
        OnlineFeatures.open(tmp_path, "0", (strange,), OnlineSettings("UTC"))


def test_a_block_without_a_column_is_refused_and_the_column_named(state):
    with pytest.raises(InvalidArgumentError, match="lacks the columns net_micros"):
        state.apply(batch([order(1, 1)]).drop_columns(["net_micros"]), {})
