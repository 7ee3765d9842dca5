"""One suite for every form of the prediction log."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from services.inference.adapters.prediction_table import PredictionTable
from services.inference.usecases.batch import PREDICTIONS
from shared.warehouse import migrate, open_embedded
from tests.unit.inference.stand_ins import AS_OF, MemoryLog, snapshot

VERSION = "models/tiny/versions/1"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    warehouse = open_embedded(tmp_path_factory.mktemp("warehouse"))
    migrate(warehouse)
    yield warehouse
    warehouse.close()


@pytest.fixture(params=["memory", "warehouse"])
def log(request):
    if request.param == "memory":
        return MemoryLog()
    warehouse = request.getfixturevalue("warehouse")
    warehouse.execute("TRUNCATE TABLE predictions")
    return PredictionTable(warehouse)


def table(keys, version=VERSION, as_of=AS_OF):
    rows = [
        {
            "prediction_id": f"{key:x}",
            "user_key": int(key),
            "model_version": version,
            "feature_set_version": "fs1",
            "dataset_hash": "c0",
            "as_of": as_of,
            "horizon_end": as_of + timedelta(days=90),
            "active_probability": 1 / 3,
            "churn_probability": 2 / 3,
            "percentile": 50.0,
            "expected_value_micros": -(2**40),
            "segment_probabilities": [2 / 3, 1 / 9, 1 / 9, 1 / 9],
            "segment": 3,
            "value_low_micros": 1,
            "value_high_micros": 2**50,
            "eligible": bool(key % 2),
            "ineligible_reason": "" if key % 2 else "has not bought anything yet",
            "reasons": '[{"text": "naïve"}]',
        }
        for key in keys
    ]
    return pa.Table.from_pylist(rows, PREDICTIONS)


def test_users_logged_are_those_of_the_version_and_the_instant_in_order(log):
    assert log.user_keys(VERSION, AS_OF).tolist() == []
    log.append(table([9, 2**64 - 1, 3]))
    log.append(table([5], version="models/tiny/versions/2"))
    log.append(table([7], as_of=AS_OF + timedelta(days=30)))
    assert log.user_keys(VERSION, AS_OF).tolist() == [3, 9, 2**64 - 1]
    assert log.user_keys(VERSION, AS_OF).dtype == np.uint64


def test_the_file_holds_exactly_what_was_logged_of_the_users_in_order(log, tmp_path):
    held = snapshot(20)
    keys = held.user_keys.tolist()
    log.append(table([*keys[10:], 1]))
    log.append(table(keys[:10]))
    path = tmp_path / "new" / "predictions.arrow"
    assert log.export(VERSION, held, path) == 20
    with pa.memory_map(str(path)) as file:
        written = pa.ipc.open_file(file).read_all()
    assert written.schema == PREDICTIONS
    assert written.equals(table(keys))
    assert [entry.name for entry in path.parent.iterdir()] == ["predictions.arrow"]


def test_a_file_of_nothing_still_has_its_columns(log, tmp_path):
    path = tmp_path / "predictions.arrow"
    assert log.export(VERSION, snapshot(3), path) == 0
    assert pa.ipc.open_file(path.read_bytes()).read_all().schema == PREDICTIONS
