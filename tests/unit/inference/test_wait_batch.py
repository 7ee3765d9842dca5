"""When something happens to every user of a scoring dataset, by an exported program."""

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
from services.inference.usecases.wait_batch import SCHEMA, WaitBatchPredictor
from shared.errors import FailedPreconditionError
from shared.registry import ModelRegistry
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

    (b,) = export.symbolic_shape("b")
    kinds = {"w": jax.ShapeDtypeStruct((PARTS,), np.float32)}
    rows = (jax.ShapeDtypeStruct((b, 1), np.float32), jax.ShapeDtypeStruct((b,), np.bool_))
    files = {
        "predict.jaxexport": bytes(export.export(jax.jit(program))(kinds, *rows).serialize()),
        "weights.safetensors": save({"w": np.array([0.2, 0.5, 1.0], np.float32)}),
    }
    manifest = {
        "kind": "waits",
        "features": ["pace"],
        "feature_set_version": "f1",
        "signature": {"predict": {"outputs": {"chances": {"shape": ["b", PARTS]}}}},
    }
    return ModelRegistry(folder).publish("next_order", files, manifest)


def predictor(folder, rows):
    model = version(folder / "registry")
    made = WaitBatchPredictor(lambda _: WaitModel(model), lambda _: rows, folder / "out")
    return made, model.name


def test_every_user_gets_chances_and_days_and_none_where_it_is_later(tmp_path):
    rows = snapshot(600)
    made, name = predictor(tmp_path, rows)
    left = made.run(name, "datasets/now", Work())
    assert left["prediction_count"] == 600
    with pa.memory_map(left["uri"]) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.schema == SCHEMA
    assert table["user_key"].to_pylist() == rows.user_keys.tolist()
    expected = np.where(rows.eligible, rows.values[:, 0], 0.0)
    np.testing.assert_allclose(table["probability"].to_numpy(), expected, rtol=1e-6)
    assert table["days"].is_null().to_pylist() == (~(expected > 0.5)).tolist()
    assert table["chances"][598].as_py() == pytest.approx(
        [expected[598] * each for each in (0.2, 0.5, 1.0)]
    )
    assert table["days_high"][598].as_py() == 15.0


def test_features_that_the_model_was_not_trained_on_are_refused(tmp_path):
    made, name = predictor(tmp_path, snapshot(3, "f2"))
    with pytest.raises(FailedPreconditionError, match=r"feature set f1.*holds f2; train again"):
        made.run(name, "datasets/now", Work())
    assert not (tmp_path / "out").exists()
