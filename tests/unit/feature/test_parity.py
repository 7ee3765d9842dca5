"""Every registered feature: the compiled statement against the plain reference."""

import math
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.feature.adapters.history import EventHistory
from services.feature.usecases.rows import collect
from shared.features import FEATURES
from shared.features.calendar import Instant, Spine, day_start
from shared.features.compiler import compile_sql
from shared.features.reference import feature_value, spend_micros
from tests.support.histories import events_table, random_rows, reference_events
from tests.support.unshipped_features import UNSHIPPED

FIRST_DAY = 15_000
INSTANTS = (15_030, 15_060, 15_091, 15_400)
HORIZON = 20
ZONES = ("UTC", "America/Sao_Paulo", "Pacific/Auckland")

EXTRA = {feature.name: feature for feature in UNSHIPPED}
DECLARED = {**FEATURES, **EXTRA}


@pytest.fixture(scope="module", params=ZONES)
def computed(engine, request):
    """Values by SQL and by the reference for every feature, over one random shop in a zone."""
    zone = ZoneInfo(request.param)
    rng = np.random.default_rng(5)
    rows = random_rows(rng, range(1, 25), FIRST_DAY, INSTANTS[-1] + 30, 1_500)
    rows += random_rows(rng, [99], FIRST_DAY + 70, FIRST_DAY + 75, 3, prefix="one")
    engine.execute("TRUNCATE TABLE events")
    engine.insert("events", events_table(rows))

    instants = tuple(Instant(day, day_start(day, zone)) for day in INSTANTS)
    spine = Spine(instants, zone.key, HORIZON)
    history = EventHistory(engine, zone.key)
    blocks = [
        collect(
            history.read(
                compile_sql(tuple(features.values()), spine, history.source(by_person=False)),
                spine.end,
                day_start(20_000, zone),
                "",
            ),
            list(features),
            has_label=True,
        )
        # Apart, because a family is compiled in another way once more than counts is asked of it.
        for features in (FEATURES, EXTRA)
    ]
    block = replace(blocks[0], features=np.hstack([each.features for each in blocks]))
    return block, reference_events(rows, zone), instants


@pytest.mark.parametrize("name", list(DECLARED))
def test_sql_equals_the_reference(computed, name):
    block, histories, instants = computed
    column = list(DECLARED).index(name)
    expected = [
        feature_value(DECLARED[name].expression, histories[int(user)], instants[index])
        for user, index in zip(block.user_keys, block.indices, strict=True)
    ]
    np.testing.assert_allclose(block.features[:, column], expected, rtol=1e-6, atol=1e-9)


def test_every_user_seen_before_an_instant_has_a_row_and_nobody_else(computed):
    block, histories, instants = computed
    expected = sorted(
        (user, index)
        for user, events in histories.items()
        for index, instant in enumerate(instants)
        if min(event.time_ms for event in events) < instant.time_ms
    )
    assert list(zip(block.user_keys.tolist(), block.indices.tolist(), strict=True)) == expected


def test_labels_equal_the_reference(computed):
    block, histories, instants = computed
    expected = [
        spend_micros(histories[int(user)], instants[index], HORIZON)
        for user, index in zip(block.user_keys, block.indices, strict=True)
    ]
    assert block.spend_micros is not None
    assert block.spend_micros.tolist() == expected
    assert sum(value > 0 for value in expected) > 10


def test_a_missing_value_is_not_zero(computed):
    block, _, _ = computed
    recency = block.features[:, list(DECLARED).index("recency_days")]
    orders = block.features[:, list(DECLARED).index("orders_ever")]
    assert (np.isnan(recency) == (orders == 0)).all()
    assert math.isnan(recency[orders == 0][0])
