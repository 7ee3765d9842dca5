"""Nothing that happens after as_of, or becomes known after known_at, shows in a dataset."""

from dataclasses import replace

import numpy as np
import pytest

from services.feature.adapters.history import EventHistory
from shared.features import FEATURES
from tests.support.histories import DAY_MS, Edge, Row
from tests.support.shops import AS_OF_DAY, FIRST_DAY, ZONE, Shop, build, files_of, random_shop

SEEDS = (1, 2)
LAST_TRAINING_DAY = AS_OF_DAY - 10


def later(seed: int, since_day: int, until_day: int) -> Shop:
    """Draw orders, refunds, visits and merges that happen from a day on.

    The day before is drawn too and left out, because days in London begin within days of UTC.
    """
    shop = random_shop(seed + 100, since_day + 1, until_day, 150, prefix="later")
    first = Row(
        message_id="later-first",
        event="Order Completed",
        user_key=1,
        time_ms=since_day * DAY_MS,
        gross_micros=5_000_000,
        net_micros=5_000_000,
        product_ids=("p1",),
        quantities=(1.0,),
    )
    return replace(shop, rows=(*shop.rows, first))


def late(seed: int, shop: Shop) -> Shop:
    """Draw facts of the past that become known after known_at: new ones, retries and merges."""
    known_ms = AS_OF_DAY * DAY_MS + 1
    fresh = random_shop(seed + 200, FIRST_DAY, AS_OF_DAY - 1, 800, prefix="late")
    retried = [replace(row, gross_micros=row.gross_micros * 2) for row in shop.rows[:200]]
    merges = [Edge(from_key=user, to_key=user + 1, time_ms=0) for user in range(1, 50, 3)]
    return Shop(
        tuple(replace(row, ingest_ms=known_ms) for row in (*fresh.rows, *retried)),
        tuple(replace(edge, ingest_ms=known_ms) for edge in (*fresh.edges, *merges)),
    )


class LateFactsHistory(EventHistory):
    """A planted leak: forgets to ask when an event became known."""

    def source(self, *, by_person: bool) -> str:
        known = "ingest_time <= {known_at:DateTime64(3, 'UTC')}"
        return super().source(by_person=by_person).replace(known, "1")


class LaterDaysHistory(EventHistory):
    """A planted leak: windows end a day after as_of."""

    def read(self, sql, end, known_at, resolution):
        moved = sql.replace("x < as_of_day,", "x < as_of_day + 1,")
        return super().read(moved, end, known_at, resolution)


def changes(warehouse, folder, purpose, before, extra, history=EventHistory):
    """Build, add facts, build again; return the columns that differ and whether any byte does."""
    for table in ("events", "identity"):
        warehouse.execute(f"TRUNCATE TABLE {table}")
    before.store(warehouse)
    first = build(history(warehouse, ZONE), folder / "first", purpose)
    extra.store(warehouse)
    second = build(history(warehouse, ZONE), folder / "second", purpose)
    one, other = first.arrays(), second.arrays()
    names = ["rows"] if one.user_keys.tobytes() != other.user_keys.tobytes() else []
    if not names:
        names += [
            name
            for column, name in enumerate(first.manifest.feature_names)
            if one.features[:, column].tobytes() != other.features[:, column].tobytes()
        ]
        if purpose == "training" and not np.array_equal(one.spend_micros, other.spend_micros):
            names.append("label")
    same_files = files_of(first, folder / "first") == files_of(second, folder / "second")
    same_hash = first.manifest.content_hash == second.manifest.content_hash
    return names, same_files and same_hash


def sparse_last_window(shop: Shop) -> Shop:
    """Leave few events in the last label window, so that more of them change the labels."""
    start_ms = LAST_TRAINING_DAY * DAY_MS
    rows = [
        Row(
            message_id=f"kept{number}",
            event="Order Completed",
            user_key=1 + number % 20,
            time_ms=start_ms + (1 + number % 9) * DAY_MS,
            gross_micros=1_000_000,
            net_micros=1_000_000,
        )
        for number in range(40)
    ]
    return Shop(
        (*(row for row in shop.rows if row.time_ms < start_ms), *rows),
        tuple(edge for edge in shop.edges if edge.time_ms < start_ms),
    )


@pytest.fixture(scope="module", params=SEEDS)
def changed(engine, request, tmp_path_factory):
    """What facts from the future and late facts change, in training and scoring."""
    shop = random_shop(request.param)
    folder = tmp_path_factory.mktemp("datasets")
    return {
        "scoring, later": changes(
            engine, folder, "scoring", shop, later(request.param, AS_OF_DAY, AS_OF_DAY + 40)
        ),
        "scoring, late": changes(engine, folder, "scoring", shop, late(request.param, shop)),
        "training, late": changes(engine, folder, "training", shop, late(request.param, shop)),
        "training, later": changes(
            engine,
            folder,
            "training",
            random_shop(request.param, has_edges=False),
            later(request.param, AS_OF_DAY, AS_OF_DAY + 40),
        ),
        "training, in the last label window": changes(
            engine,
            folder,
            "training",
            sparse_last_window(shop),
            later(request.param, LAST_TRAINING_DAY, AS_OF_DAY - 1),
        ),
    }


UNCHANGED = ("scoring, later", "scoring, late", "training, late", "training, later")


@pytest.mark.parametrize("scenario", UNCHANGED)
def test_not_a_byte_changes(changed, scenario):
    assert changed[scenario] == ([], True)


@pytest.mark.parametrize("name", [*FEATURES, "rows"])
def test_what_happens_in_the_label_window_changes_no_feature(changed, name):
    columns, _ = changed["training, in the last label window"]
    assert name not in columns


def test_what_happens_in_the_label_window_changes_the_label(changed):
    columns, is_same = changed["training, in the last label window"]
    assert columns == ["label"]
    assert not is_same


def test_facts_known_too_late_are_missed_by_no_test(warehouse, tmp_path):
    shop = random_shop(3, has_edges=False)
    extra = replace(late(3, shop), edges=())
    columns, is_same = changes(warehouse, tmp_path, "scoring", shop, extra, LateFactsHistory)
    assert not is_same
    assert "orders_ever" in columns


def test_windows_that_end_too_late_are_missed_by_no_test(warehouse, tmp_path):
    shop = sparse_last_window(random_shop(3, has_edges=False))
    extra = replace(later(3, LAST_TRAINING_DAY, AS_OF_DAY - 1), edges=())
    columns, _ = changes(warehouse, tmp_path, "training", shop, extra, LaterDaysHistory)
    assert {"orders_ever", "gross_90d", "net_ever"} <= set(columns)
