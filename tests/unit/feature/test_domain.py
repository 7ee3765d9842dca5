from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.feature.domain.plan import (
    fold_plans,
    instant_at,
    require_history,
    training_instants,
)
from services.feature.domain.question import question_of
from services.feature.domain.rules import Survey, require, rules
from services.feature.domain.segments import segment_limits_micros
from shared.config.prediction import shipped_text
from shared.errors import FailedPreconditionError, InvalidArgumentError
from shared.features.calendar import day_start, local_day

LONDON = ZoneInfo("Europe/London")
CHURN = question_of([shipped_text("churn_90d")])


def at(year, month, day, hour=0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def test_the_shipped_files_ask_one_question():
    texts = [shipped_text(name) for name in ("value_90d", "churn_90d", "segment_90d")]
    question = question_of(texts)
    assert question.names == ("churn_90d", "segment_90d", "value_90d")
    assert len(question.features) == 42


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("horizon: 90d", "horizon: 30d", "horizon"),
        ("every: 30d", "every: 7d", "as_of"),
        ("orders_ever >= 1", "orders_ever >= 2", "eligible"),
        ("[rfm, windows, trends]", "[rfm]", "features"),
    ],
)
def test_files_that_differ_in_what_a_dataset_needs_are_refused_by_key(old, new, key):
    other = shipped_text("value_90d").replace(old, new)
    with pytest.raises(InvalidArgumentError, match=f"churn_90d and value_90d differ in '{key}'"):
        question_of([shipped_text("churn_90d"), other])


def test_no_files_are_refused():
    with pytest.raises(InvalidArgumentError, match="at least one"):
        question_of([])


def test_an_as_of_within_a_day_is_refused_with_the_midnights_around_it():
    with pytest.raises(InvalidArgumentError, match=r"2011-09-09T23:00:00.*2011-09-10T23:00:00"):
        instant_at(at(2011, 9, 10), LONDON)
    assert instant_at(at(2011, 9, 9, 23), LONDON).day == local_day(at(2011, 9, 10), LONDON)


def test_instants_step_back_from_the_last_label_window_to_the_first_eligible_day():
    end = instant_at(at(2011, 9, 10), ZoneInfo("UTC"))
    first = local_day(at(2010, 12, 1), ZoneInfo("UTC"))
    instants = training_instants(CHURN, end, first, ZoneInfo("UTC"), end.time)
    assert instants[-1].time == at(2011, 6, 12)
    assert instants[0].time == at(2010, 12, 14)
    steps = {later.time - one.time for one, later in pairwise(instants)}
    assert steps == {timedelta(days=30)}


def test_instants_whose_labels_were_not_known_yet_are_left_out():
    end = instant_at(at(2011, 9, 10), ZoneInfo("UTC"))
    instants = training_instants(CHURN, end, end.day - 300, ZoneInfo("UTC"), at(2011, 8, 11))
    assert instants[-1].time == at(2011, 5, 13)


def test_instants_are_midnights_across_the_change_of_clocks():
    end = instant_at(day_start(local_day(at(2011, 6, 1), LONDON), LONDON), LONDON)
    instants = training_instants(CHURN, end, end.day - 200, LONDON, end.time)
    assert {instant.time.astimezone(LONDON).hour for instant in instants} == {0}


def test_no_label_window_of_training_reaches_past_the_judged_instant():
    end = instant_at(at(2012, 9, 10), ZoneInfo("UTC"))
    instants = training_instants(CHURN, end, end.day - 500, ZoneInfo("UTC"), end.time)
    *judged, final = fold_plans(CHURN, instants)
    assert [plan.name for plan in judged[:2]] == ["evaluation", "evaluation_2"]
    assert judged[0].test == (len(instants) - 1,)
    for plan in judged:
        assert instants[max(plan.train)].day + 90 <= instants[plan.test[0]].day
    assert (final.name, final.train, final.test) == ("final", tuple(range(len(instants))), ())


def test_a_gap_keeps_training_further_away():
    gapped = question_of([shipped_text("churn_90d").replace("gap: 0d", "gap: 20d")])
    end = instant_at(at(2012, 9, 10), ZoneInfo("UTC"))
    instants = training_instants(gapped, end, end.day - 500, ZoneInfo("UTC"), end.time)
    assert instants[-1].day == end.day - 110
    evaluation = fold_plans(gapped, instants)[0]
    assert instants[max(evaluation.train)].day + 110 <= instants[-1].day


def test_no_instant_at_all_says_how_much_history_is_needed():
    with pytest.raises(FailedPreconditionError, match="history_days is 60, at least 91") as caught:
        require_history(CHURN, (), 60)
    assert caught.value.metadata["threshold"] == "91"


def test_every_broken_rule_is_listed_with_value_and_threshold():
    end = instant_at(at(2011, 9, 10), ZoneInfo("UTC"))
    instants = training_instants(CHURN, end, end.day - 150, ZoneInfo("UTC"), end.time)
    found = rules(CHURN, Survey((3, 5), (2, 5)), fold_plans(CHURN, instants), 40)
    with pytest.raises(FailedPreconditionError) as caught:
        require(found)
    for words in (
        "evaluation_folds is 0, at least 1",
        "observed_days_of_last_label_window is 40, at least 68",
        "eligible_rows_of_training is 8, at least 30",
        "inactive_rows_of_training is 1, at least 5",
    ):
        assert words in caught.value.message
    assert caught.value.reason == "TOO_LITTLE_DATA"


def test_enough_of_everything_passes():
    end = instant_at(at(2012, 9, 10), ZoneInfo("UTC"))
    instants = training_instants(CHURN, end, end.day - 300, ZoneInfo("UTC"), end.time)
    counts = (100,) * len(instants)
    require(rules(CHURN, Survey(counts, (50,) * len(counts)), fold_plans(CHURN, instants), 90))


def test_segment_limits_are_thirds_of_spenders_and_0_without_any():
    assert segment_limits_micros(np.array([0, 0])) == (0, 0)
    assert segment_limits_micros(np.array([0, 7])) == (7, 7)
    assert segment_limits_micros(np.array([0, 3, 6, 9, 12])) == (6, 9)
