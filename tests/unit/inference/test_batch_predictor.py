"""A batch says of every user what a request would, once, and leaves a file."""

import json

import numpy as np
import pyarrow as pa
import pytest

from services.inference.usecases import batch
from services.inference.usecases.batch import BatchPredictor
from services.inference.usecases.predict import Predictor
from shared.errors import CancelledError, FailedPreconditionError, NotFoundError
from tests.unit.inference.stand_ins import AS_OF, NAME, MemoryDatasets, MemoryLog, snapshot
from tests.unit.inference.test_predictor import WORDING, OneModel, OneSnapshot

VERSION = "models/tiny/versions/1"


class Context:
    """Remembers what the work said; asks it to stop after some looks."""

    def __init__(self, looks=10**9):
        self.looks, self.said, self.result = looks, [], {}

    def progress(self, completed, total, unit, message=""):
        self.said.append((completed, total, unit))

    def update(self, **result):
        self.result |= result

    def raise_if_cancelled(self):
        self.looks -= 1
        if self.looks < 0:
            raise CancelledError("cancelled", reason="CANCELLED")


def predict_all(runner, held, log, folder, context=None):
    batches = BatchPredictor(OneModel(runner), MemoryDatasets(held), log, WORDING, folder)
    return batches.run(VERSION, held.dataset, context or Context())


def read(uri):
    with pa.memory_map(uri) as file:
        return pa.ipc.open_file(file).read_all()


def test_every_user_gets_what_a_request_for_them_gets(runner, tmp_path):
    held, log = snapshot(500), MemoryLog()
    result = predict_all(runner, held, log, tmp_path)
    rows = read(result["uri"]).to_pylist()
    assert result["prediction_count"] == len(rows) == 500
    asked = Predictor(OneModel(runner), OneSnapshot(held), WORDING)
    answer = asked.for_users(VERSION, held.user_keys, has_reasons=True)
    for row, prediction in zip(rows, answer.predictions, strict=True):
        assert row["user_key"] == prediction.user_key
        assert row["active_probability"] == prediction.active_probability
        assert row["churn_probability"] == prediction.churn_probability
        assert row["expected_value_micros"] == prediction.expected_value_micros
        assert row["segment_probabilities"] == list(prediction.segment_probabilities)
        assert row["segment"] == prediction.segment
        assert row["value_low_micros"] == prediction.value_low_micros
        assert row["value_high_micros"] == prediction.value_high_micros
        assert row["ineligible_reason"] == prediction.ineligible_reason
        reasons = json.loads(row["reasons"])
        assert [reason["text"] for reason in reasons] == [r.text for r in prediction.reasons]
        assert [reason["contribution"] for reason in reasons] == pytest.approx(
            [r.contribution for r in prediction.reasons], rel=1e-6
        )


def test_rows_carry_identity_time_and_rank(runner, tmp_path):
    held = snapshot(300)
    table = read(predict_all(runner, held, MemoryLog(), tmp_path)["uri"])
    assert len(set(table["prediction_id"].to_pylist())) == 300
    assert table["user_key"].to_pylist() == sorted(table["user_key"].to_pylist())
    assert set(table["as_of"].to_pylist()) == {AS_OF}
    assert {str(end) for end in table["horizon_end"].to_pylist()} == {"2011-12-09 00:00:00+00:00"}
    assert set(table["dataset_hash"].to_pylist()) == {"c0"}
    best = np.argmax(table["active_probability"])
    assert table["percentile"][int(best)].as_py() == max(table["percentile"].to_pylist())


@pytest.mark.parametrize("looks", [0, 1, 2, 3, 5, 8])
def test_stopped_anywhere_and_run_again_nothing_is_lost_doubled_or_different(
    runner, tmp_path, monkeypatch, looks
):
    monkeypatch.setattr(batch, "BLOCK_ROWS", 64)
    monkeypatch.setattr(batch, "WRITE_ROWS", 128)
    held, whole, log = snapshot(400), MemoryLog(), MemoryLog()
    expected = read(predict_all(runner, held, whole, tmp_path / "whole")["uri"])
    with pytest.raises(CancelledError):
        predict_all(runner, held, log, tmp_path, Context(looks))
    assert not list(tmp_path.glob("*.arrow"))
    result = predict_all(runner, held, log, tmp_path)
    assert read(result["uri"]).equals(expected)
    assert log.rows.num_rows == 400


def test_run_again_it_logs_nothing_new_and_the_file_is_the_same(runner, tmp_path):
    held, log = snapshot(100), MemoryLog()
    first = read(predict_all(runner, held, log, tmp_path)["uri"])
    appended = list(log.appended)
    context = Context()
    assert read(predict_all(runner, held, log, tmp_path, context)["uri"]).equals(first)
    assert log.appended == appended
    assert context.said[-1] == (100, 100, "users")
    assert context.result == {"as_of": AS_OF.isoformat()}


def test_progress_never_goes_back(runner, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "WRITE_ROWS", 64)
    context = Context()
    predict_all(runner, snapshot(300), MemoryLog(), tmp_path, context)
    completed = [said[0] for said in context.said]
    assert completed == sorted(completed)
    assert completed[-1] == 300


def test_a_dataset_of_nobody_leaves_an_empty_file(runner, tmp_path):
    held = snapshot(
        0, user_keys=np.zeros(0, np.uint64), eligible=np.zeros(0, bool), values=np.zeros((0, 3))
    )
    result = predict_all(runner, held, MemoryLog(), tmp_path)
    assert result["prediction_count"] == 0
    assert read(result["uri"]).num_rows == 0


def test_a_dataset_that_is_not_there_or_does_not_fit_is_refused(runner, tmp_path):
    batches = BatchPredictor(OneModel(runner), MemoryDatasets(), MemoryLog(), WORDING, tmp_path)
    with pytest.raises(NotFoundError):
        batches.run(VERSION, NAME, Context())
    with pytest.raises(FailedPreconditionError):
        predict_all(runner, snapshot(10, feature_set_version="fs2"), MemoryLog(), tmp_path)
