"""Users and rows get the model's answer, with how it came about."""

import numpy as np
import pytest

from services.inference.domain.prediction import Status
from services.inference.domain.reasons import Wording
from services.inference.usecases.predict import Predictor
from shared.errors import FailedPreconditionError, InvalidArgumentError
from shared.features import FEATURES, words
from tests.unit.inference import tiny_model
from tests.unit.inference.stand_ins import AS_OF, snapshot


class OneModel:
    def __init__(self, runner):
        self._runner = runner

    def load(self, name):
        return self._runner


class OneSnapshot:
    def __init__(self, held):
        self._held = held

    def current(self):
        return self._held


WORDING = Wording(words, {name: feature.unit for name, feature in FEATURES.items()}, "GBP")


HELD = snapshot()


@pytest.fixture
def predictor(runner):
    return Predictor(OneModel(runner), OneSnapshot(HELD), WORDING)


def test_users_are_answered_in_the_order_asked_with_their_status(predictor):
    not_eligible, eligible = HELD.user_keys[[0, 1]]
    keys = np.array([eligible, 12345, not_eligible, eligible], np.uint64)
    answer = predictor.for_users("models/tiny", keys, has_reasons=False)
    assert [prediction.user_key for prediction in answer.predictions] == keys.tolist()
    assert [prediction.status for prediction in answer.predictions] == [
        Status.PREDICTED,
        Status.UNKNOWN_USER,
        Status.INELIGIBLE,
        Status.PREDICTED,
    ]
    assert answer.predictions[0] == answer.predictions[3]
    assert (answer.model_version, answer.as_of) == ("models/tiny/versions/1", AS_OF)


def test_who_is_unknown_or_not_eligible_gets_the_base_rate_a_reason_why_and_no_reasons(predictor):
    keys = np.array([12345, HELD.user_keys[0]], np.uint64)
    answer = predictor.for_users("models/tiny", keys, has_reasons=True)
    for prediction in answer.predictions:
        assert prediction.active_probability == tiny_model.BASE_RATE
        assert prediction.expected_value_micros == tiny_model.BASE_VALUE * 1_000_000
        assert prediction.reasons == ()
    unknown, not_eligible = (prediction.ineligible_reason for prediction in answer.predictions)
    assert "not known" in unknown
    assert not_eligible == "has not bought anything yet"


def test_a_user_and_the_same_features_sent_are_the_same_answer(predictor):
    places = [1, 2, 3, 4]
    of_users = predictor.for_users("models/tiny", HELD.user_keys[places], has_reasons=True)
    of_rows = predictor.for_features("models/tiny", HELD.values[places], has_reasons=True)
    assert of_rows.as_of is None
    for user, row in zip(of_users.predictions, of_rows.predictions, strict=True):
        assert user.active_probability == row.active_probability
        assert user.expected_value_micros == row.expected_value_micros
        assert user.segment_probabilities == row.segment_probabilities
        assert user.reasons == row.reasons
        assert row.user_key == 0


def test_reasons_are_words_on_the_strongest_features_and_sum_to_the_logit(predictor):
    row = np.array([[np.e**2 - 1, np.e - 1, 0.0]], np.float32)
    [prediction] = predictor.for_features("models/tiny", row, has_reasons=True).predictions
    assert [(reason.feature, reason.text) for reason in prediction.reasons] == [
        ("recency_days", "last ordered 6 days ago"),
        ("gross_ever", "has spent nothing in all"),
    ]
    logit = np.log(prediction.active_probability / prediction.churn_probability)
    total = sum(reason.contribution for reason in prediction.reasons)
    assert total + tiny_model.WEIGHTS["bias"] == pytest.approx(logit, abs=1e-4)


@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (3,)])
def test_rows_of_another_width_are_refused(predictor, shape):
    with pytest.raises(InvalidArgumentError, match=r"\[rows, 3\]") as caught:
        predictor.for_features("models/tiny", np.ones(shape, np.float32), has_reasons=False)
    assert caught.value.reason == "FEATURES_SHAPE"


def test_an_infinite_feature_is_named(predictor):
    rows = np.array([[1, 2, 3], [1, np.inf, 3]], np.float32)
    with pytest.raises(InvalidArgumentError, match="orders_ever in row 1") as caught:
        predictor.for_features("models/tiny", rows, has_reasons=False)
    assert caught.value.reason == "FEATURES_INFINITE"


def test_a_snapshot_of_other_features_is_refused(runner):
    held = snapshot(feature_set_version="fs2")
    predictor = Predictor(OneModel(runner), OneSnapshot(held), WORDING)
    with pytest.raises(FailedPreconditionError, match="fs2"):
        predictor.for_users("models/tiny", held.user_keys[:1], has_reasons=False)
