"""A partition's messages are scored exactly, however they are cut into slices."""

from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from services.inference.domain.prediction import ModelFacts, Outputs
from services.inference.domain.stream_counts import Counts
from services.inference.domain.trigger import Memory, Told, denied, due, tell
from services.inference.usecases.stream_scoring import PartitionScorer, Question
from services.ingestion.main import event_decoder
from shared.bus import BusSettings, Partition
from shared.config.home import WorkspaceSettings
from shared.config.prediction import Condition, Eligibility
from shared.config.stream import StreamRule, parse_stream
from shared.config.strict import document
from shared.features import FEATURES
from shared.features.online import OnlineFeatures, OnlineSettings
from tests.support.scored_stream import RULE, expected, sent
from tests.unit.inference.tiny_model import FEATURES as COLUMNS

BUS = BusSettings(("broker:1",))
PARTITION = Partition(BUS.name("events.v1"), 0)
STREAM = "churn_90d|p"
NOW_MS = 1_800_000_000_000


class RememberingModel:
    """A model that says one half of everybody and keeps what it was asked."""

    facts = ModelFacts("models/m/versions/1", COLUMNS, "fs", "d", timedelta(days=90))

    def __init__(self):
        self.rows = np.empty((0, len(COLUMNS)), np.float32)

    def predict(self, features, eligible):
        self.rows = np.concatenate([self.rows, features])
        half = np.full(len(features), 0.5, np.float32)
        return Outputs(half, half, half, np.repeat(half[:, None], 4, 1) / 2, half, half, half)


def records(values):
    return [
        SimpleNamespace(offset=offset, timestamp=NOW_MS, key=b"u", value=value, headers=[])
        for offset, value in enumerate(values)
    ]


def scorer(folder, rule=RULE, memory=None):
    online = OnlineSettings("UTC")
    features = OnlineFeatures.open(folder, "p", [FEATURES[name] for name in COLUMNS], online)
    question = Question(
        name="churn_90d",
        rule=parse_stream(document(rule)),
        eligible=Eligibility((Condition("orders_ever", ">=", 1.0),)),
        columns=COLUMNS,
        is_of_leaving=True,
        lateness_ms=online.lateness_ms,
    )
    return features, PartitionScorer(STREAM, features, memory or Memory(), question)


def decoder():
    return event_decoder(WorkspaceSettings(pseudonym_key=b"0123456789abcdef"), BUS)


@pytest.mark.parametrize("size", [11, 2_000])
def test_counts_predictions_and_features_are_those_of_a_plain_account(tmp_path, size):
    messages = sent(seed=2)
    counts, predicted = expected({n: (user, told) for n, (user, _, told) in enumerate(messages)})
    read, model, decode = (
        records([value for _, value, _ in messages]),
        RememberingModel(),
        decoder(),
    )
    features, scoring = scorer(tmp_path)
    found, offsets = Counts(), []
    with features:
        for start in range(0, len(read), size):
            part = read[start : start + size]
            scored = scoring.score(decode.decode(PARTITION, part), part, model)
            found += scored.counts
            offsets += scored.predictions["stream_offset"].to_pylist()
        assert features.offsets == {STREAM: len(read)}
    assert {name: count for name, count in vars(found).items() if count} == dict(counts)
    assert found.is_exact
    assert offsets == sorted(predicted)
    wanted = np.array([predicted[offset] for offset in offsets], np.float32)
    np.testing.assert_allclose(model.rows, wanted, rtol=1e-6)


def test_messages_that_were_accounted_for_change_features_and_nothing_else(tmp_path):
    messages = records([value for _, value, _ in sent(seed=3)][:300])
    whole, again = RememberingModel(), RememberingModel()
    features, scoring = scorer(tmp_path / "whole")
    with features:
        first = scoring.score(decoder().decode(PARTITION, messages[:200]), messages[:200], whole)
        said = scoring.score(decoder().decode(PARTITION, messages[200:]), messages[200:], whole)
    told = {
        row["trigger_key"]: Told(round(row["as_of"].timestamp() * 1000) - 1, is_above=False)
        for row in first.predictions.to_pylist()
    }
    features, scoring = scorer(tmp_path / "again", memory=Memory(told))
    with features:
        scoring.follow(decoder().decode(PARTITION, messages[:200]), 200)
        rest = scoring.score(decoder().decode(PARTITION, messages[200:]), messages[200:], again)
    assert rest.counts == said.counts
    # No number is equal to a percentile that is missing.
    one, other = (each.predictions.drop_columns("percentile") for each in (rest, said))
    assert one.equals(other)


def test_a_prediction_is_told_as_its_probability_crosses_the_threshold():
    rule, memory = StreamRule(("event",), crosses=0.5), Memory()
    keys, times = np.array([1, 1, 1, 1, 2], np.uint64), np.arange(5)
    chances = np.array([0.4, 0.6, 0.7, 0.3, 0.1], np.float32)
    assert tell(rule, memory, keys, times, chances).tolist() == [False, True, False, True, False]


def test_a_user_is_told_of_again_when_the_gap_has_passed():
    rule, memory = StreamRule(("event",), timedelta(seconds=1)), Memory({2: Told(500, False)})
    keys = np.array([1, 1, 2, 1], np.uint64)
    assert due(rule, memory, keys, np.array([0, 999, 1_000, 1_000])).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_consent_that_is_denied_for_the_named_category_suppresses():
    consents = [[("ads", False), ("scores", True)], [("scores", False)], [("ads", False)], None]
    of_scores, of_any = StreamRule(("event",), consent="scores"), StreamRule(("event",))
    assert denied(of_scores, consents).tolist() == [False, True, False, False]
    assert denied(of_any, consents).tolist() == [False, True, True, False]
