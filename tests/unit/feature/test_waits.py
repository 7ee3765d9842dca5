"""The label "how long until it happens" against a plain reading of the events."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.feature.adapters.history import EventHistory
from services.feature.domain.question import question_of
from services.feature.usecases.build import DatasetBuilder, Order
from shared.config.prediction import shipped_text
from shared.dataset import DatasetReader
from shared.errors import InvalidArgumentError
from shared.features.calendar import day_start, local_day, milliseconds
from tests.support.histories import DAY_MS, Row
from tests.support.shops import AS_OF_DAY, ZONE, Quiet, Shop, moment, random_shop

HORIZON = 10
CHURN = shipped_text("churn_90d").replace("horizon: 90d", f"horizon: {HORIZON}d")


def build(warehouse, folder, target, known_day=AS_OF_DAY, text=CHURN):
    question = question_of([text.replace("{kind: churn}", target)])
    builder = DatasetBuilder(EventHistory(warehouse, ZONE), ZONE, "GBP")
    order = Order("datasets/a", "training", question, moment(AS_OF_DAY), moment(known_day))
    builder.build(order, folder, Quiet())
    return DatasetReader(folder)


def is_bought(row):
    return row.event == "Order Completed" and row.gross_micros > 0


def oracle(rows, user, as_of_ms, counts):
    """Days to the first event that counts, by looking at every one."""
    zone = ZoneInfo(ZONE)
    as_of = np.datetime64(int(as_of_ms), "ms").item().replace(tzinfo=ZoneInfo("UTC"))
    end_ms = milliseconds(day_start(local_day(as_of, zone) + HORIZON, zone))
    times = [
        row.time_ms
        for row in rows
        if row.user_key == user and counts(row) and as_of_ms <= row.time_ms < end_ms
    ]
    return (min(times) - as_of_ms) / DAY_MS if times else float("nan")


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ("{kind: next_order}", is_bought),
        ("{kind: churn, absent: event}", lambda row: True),
        ("{kind: churn, absent: Product Viewed}", lambda row: row.event == "Product Viewed"),
        ("{kind: event, happens: Product Added}", lambda row: row.event == "Product Added"),
    ],
)
def test_waits_equal_a_plain_reading_of_the_events(warehouse, tmp_path, target, counts):
    shop = random_shop(4, has_edges=False)
    shop.store(warehouse)
    rows = build(warehouse, tmp_path / "a", target).arrays()
    expected = [
        oracle(shop.rows, user, as_of_ms, counts)
        for user, as_of_ms in zip(
            rows.user_keys.tolist(), rows.as_ofs.astype(np.int64).tolist(), strict=True
        )
    ]
    np.testing.assert_allclose(rows.wait_days, expected, rtol=1e-6)
    assert rows.active.tolist() == np.isfinite(expected).tolist()
    assert 20 < np.isfinite(expected).sum() < len(expected)


def test_the_wait_for_an_order_ends_exactly_where_there_is_spend_also_for_joined_persons(
    warehouse, tmp_path
):
    random_shop(5).store(warehouse)
    rows = build(warehouse, tmp_path / "a", "{kind: next_order}").arrays()
    assert np.isfinite(rows.wait_days).tolist() == (rows.spend_micros > 0).tolist()
    assert np.nanmin(rows.wait_days) >= 0
    assert np.nanmax(rows.wait_days) < HORIZON + 1 / 24


def test_who_never_bought_is_asked_about_where_nobody_is_left_out(warehouse, tmp_path):
    shop = random_shop(6, has_edges=False)
    viewer = [
        Row(message_id=f"v{day}", event="Product Viewed", user_key=900, time_ms=day * DAY_MS)
        for day in range(15_000, AS_OF_DAY, 3)
    ]
    Shop((*shop.rows, *viewer)).store(warehouse)
    everybody = CHURN.replace("eligible: orders_ever >= 1\n", "")
    target = "{kind: event, happens: Product Viewed}"
    rows = build(warehouse, tmp_path / "a", target, text=everybody).arrays()
    of_viewer = rows.user_keys == 900
    assert of_viewer.sum() > 3
    assert rows.eligible[of_viewer].all()
    assert rows.active[of_viewer].all()


def test_what_becomes_known_after_known_at_changes_no_wait(warehouse, tmp_path):
    shop = random_shop(7, has_edges=False)
    shop.store(warehouse)
    first = build(warehouse, tmp_path / "a", "{kind: churn, absent: event}")
    late = [
        Row(
            message_id=f"late{user}",
            event="Page Viewed",
            user_key=user,
            time_ms=(AS_OF_DAY - HORIZON) * DAY_MS + 3 * 3_600_000,
            ingest_ms=AS_OF_DAY * DAY_MS + 1,
        )
        for user in range(1, 21)
    ]
    Shop(tuple(late)).store(warehouse)
    second = build(warehouse, tmp_path / "b", "{kind: churn, absent: event}")
    assert second.manifest.content_hash == first.manifest.content_hash
    known = build(warehouse, tmp_path / "c", "{kind: churn, absent: event}", AS_OF_DAY + 1)
    assert known.manifest.content_hash != first.manifest.content_hash


def test_the_dataset_names_what_is_waited_for_and_others_keep_their_hash(warehouse, tmp_path):
    random_shop(8).store(warehouse)
    waiting = build(warehouse, tmp_path / "a", "{kind: churn, absent: event}").manifest
    plain = build(warehouse, tmp_path / "b", "{kind: churn}")
    assert (waiting.awaited, plain.manifest.awaited) == ("event", "")
    assert plain.arrays().wait_days is None
    assert waiting.content_hash != plain.manifest.content_hash


def test_files_that_wait_for_different_things_share_no_dataset():
    other = CHURN.replace("{kind: churn}", "{kind: next_order}").replace("churn_90d", "next_order")
    with pytest.raises(InvalidArgumentError, match="differ in 'target'"):
        question_of([CHURN, other])
