"""What is kept up event by event, against the statements that datasets are made of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from services.feature.adapters.history import EventHistory
from services.feature.domain.question import question_of
from services.feature.usecases.compute import Computation
from shared.config.prediction import shipped_text
from shared.features import FEATURES
from shared.features.calendar import Instant, Spine
from shared.features.online import OnlineFeatures, OnlineSettings, Status
from shared.features.online.days import LocalDays
from tests.support.histories import DAY_MS, events_table, identity_table
from tests.support.shops import AS_OF_DAY, FIRST_DAY, ZONE, random_shop

EPOCH = datetime.fromtimestamp(0, UTC)


def dataset(engine, time_ms):
    """Return users and features at an instant; of one within a day, windows end with the day."""
    question = replace(question_of([shipped_text("churn_90d")]), features=tuple(FEATURES.values()))
    day = int(LocalDays(ZONE).ceiling(np.array([time_ms]))[0])
    spine = Spine((Instant(day, EPOCH + timedelta(milliseconds=time_ms)),), ZONE)
    known_at = EPOCH + timedelta(days=30_000)
    made = Computation(EventHistory(engine, ZONE), "online", question, spine, known_at).run()
    return made.arrays.user_keys, made.arrays.features


def test_rows_equal_those_of_the_dataset_at_midnight_and_within_a_day(engine, tmp_path):
    for table in ("events", "identity"):
        engine.execute(f"TRUNCATE TABLE {table}")
    shop = random_shop(7, count=1_200)
    shop.store(engine)
    settings = OnlineSettings(ZONE, timedelta(days=AS_OF_DAY - FIRST_DAY))
    with OnlineFeatures.open(tmp_path, "0", tuple(FEATURES.values()), settings) as state:
        edges = identity_table(shop.edges).combine_chunks().to_batches()[0]
        for number, batch in enumerate(events_table(shop.rows).to_batches(max_chunksize=300)):
            named = edges if number == 1 else edges.slice(0, 0)
            state.apply(batch, {}, named)
        for day in (FIRST_DAY + 40, FIRST_DAY + 100.6, AS_OF_DAY - 0.3, AS_OF_DAY + 30):
            time_ms = int(day * DAY_MS)
            keys, values = dataset(engine, time_ms)
            found = state.rows(keys, time_ms)
            assert (found.status == Status.PRESENT).all()
            assert found.persons.tolist() == keys.tolist()
            np.testing.assert_allclose(found.values, values, rtol=1e-6, atol=0)
            everybody = state.rows(np.arange(1, 1_041), time_ms)
            assert set(everybody.persons[everybody.persons != 0].tolist()) == set(keys.tolist())
