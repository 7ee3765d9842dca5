"""When something happens to every user of a scoring dataset, by an exported program."""

import json
from datetime import UTC, datetime

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from jax import export
from safetensors.numpy import save

from services.inference.adapters.wait_model import WaitModel
from services.inference.domain.snapshot import FeatureSnapshot
from services.inference.usecases.file_batch import KEY_FIELDS, FileBatch
from shared.registry import ModelRegistry
from tests.unit.inference.test_predictor import WORDING
from tests.unit.inference.test_product_batch import Work

AS_OF = datetime(2020, 1, 1, tzinfo=UTC)
PARTS = 3


def snapshot(count, version="f1"):
    return FeatureSnapshot(
        dataset="datasets/now",
        content_hash="d",
        as_of=AS_OF,
        known_at=AS_OF,
        feature_set_version=version,
        eligible_rule="",
        features=("pace",),
        user_keys=np.arange(count, dtype=np.uint64) + 1,
        eligible=np.arange(count) % 2 == 0,
        values=np.linspace(0.0, 1.0, count, dtype=np.float32)[:, None],
    )


def version(folder):
    def program(weights, features, eligible):
        chance = jnp.where(eligible, features[:, 0], 0.0)[:, None] * weights["w"]
        days = jnp.where(chance[:, -1] > 0.5, 10.0, jnp.nan)
        return {"chances": chance, "days_low": days - 5, "days": days, "days_high": days + 5}

    def why(weights, features):
        away = features - 0.5
        return {
            "contributions": away * weights["w"][-1],
            "logit": features[:, 0] * weights["w"][-1],
            "baseline_logit": 0.5 * weights["w"][-1],
        }

    (b,) = export.symbolic_shape("b")
    kinds = {"w": jax.ShapeDtypeStruct((PARTS,), np.float32)}
    rows = (jax.ShapeDtypeStruct((b, 1), np.float32), jax.ShapeDtypeStruct((b,), np.bool_))
    files = {
        "predict.jaxexport": bytes(export.export(jax.jit(program))(kinds, *rows).serialize()),
        "attribute.jaxexport": bytes(export.export(jax.jit(why))(kinds, rows[0]).serialize()),
        "weights.safetensors": save({"w": np.array([0.2, 0.5, 1.0], np.float32)}),
    }
    manifest = {
        "kind": "waits",
        "features": ["pace"],
        "feature_set_version": "f1",
        "dataset_hash": "d0",
        "horizon_days": 30,
        "signature": {"predict": {"outputs": {"chances": {"shape": ["b", PARTS]}}}},
    }
    return ModelRegistry(folder).publish("next_order", files, manifest)


def predictor(folder, rows):
    model = version(folder / "registry")
    made = FileBatch(lambda _: WaitModel(model, WORDING), lambda _: rows, folder / "out")
    return made, model.name


def test_every_user_gets_chances_and_days_and_none_where_it_is_later(tmp_path):
    rows = snapshot(600)
    made, name = predictor(tmp_path, rows)
    left = made.run(name, "datasets/now", Work())
    assert left["prediction_count"] == 600
    with pa.memory_map(left["uri"]) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.schema == pa.schema([*KEY_FIELDS, *WaitModel.fields])
    assert table["user_key"].to_pylist() == rows.user_keys.tolist()
    expected = np.where(rows.eligible, rows.values[:, 0], 0.0)
    np.testing.assert_allclose(table["probability"].to_numpy(), expected, rtol=1e-6)
    assert table["days"].is_null().to_pylist() == (~(expected > 0.5)).tolist()
    assert table["chances"][598].as_py() == pytest.approx(
        [expected[598] * each for each in (0.2, 0.5, 1.0)]
    )
    assert table["days_high"][598].as_py() == 15.0


def test_eligible_users_are_told_why_and_others_nothing(tmp_path):
    made, name = predictor(tmp_path, snapshot(5))
    with pa.memory_map(made.run(name, "datasets/now", Work())["uri"]) as source:
        told = pa.ipc.open_file(source).read_all()["reasons"].to_pylist()
    found = [json.loads(text) for text in told]
    assert found[1] == found[3] == []
    assert found[2] == []  # as the average user is
    assert [each["contribution"] for each in found[0] + found[4]] == pytest.approx([-0.5, 0.5])
    assert found[4][0]["feature"] == "pace"
