"""Answers for every user of a scoring dataset in one file: where a model's encoder places them."""

from datetime import UTC, datetime

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from jax import export
from safetensors.numpy import save

from services.inference.adapters.embedding_model import EmbeddingModel
from services.inference.domain.snapshot import FeatureSnapshot
from services.inference.usecases import file_batch
from services.inference.usecases.file_batch import FileBatch
from shared.errors import CancelledError, FailedPreconditionError, NotFoundError
from shared.registry import ModelRegistry
from tests.unit.inference.test_batch_predictor import Context

AS_OF = datetime(2020, 1, 1, tzinfo=UTC)


def snapshot(count, version="f1"):
    rng = np.random.default_rng(count)
    return FeatureSnapshot(
        dataset="datasets/now",
        content_hash="d",
        as_of=AS_OF,
        known_at=AS_OF,
        feature_set_version=version,
        eligible_rule="",
        features=("pace", "spend"),
        user_keys=np.arange(count, dtype=np.uint64) + 1,
        eligible=np.arange(count) % 3 > 0,
        values=rng.random((count, 2)).astype(np.float32),
    )


def files():
    def program(weights, features):
        return {"embedding": features @ weights["w"]}

    (b,) = export.symbolic_shape("b")
    kinds = {"w": jax.ShapeDtypeStruct((2, 3), np.float32)}
    rows = jax.ShapeDtypeStruct((b, 2), np.float32)
    return {
        "embed.jaxexport": bytes(export.export(jax.jit(program))(kinds, rows).serialize()),
        "weights.safetensors": save({"w": np.arange(6, dtype=np.float32).reshape(2, 3)}),
    }


MANIFEST = {
    "features": ["pace", "spend"],
    "feature_set_version": "f1",
    "dataset_hash": "d0",
    "horizon_days": 90,
    "signature": {"embed": {"outputs": {"embedding": {"shape": ["b", 3]}}}},
}


def predictor(folder, rows, held):
    version = ModelRegistry(folder / "registry").publish("shop", held, MANIFEST)
    made = FileBatch(lambda _: EmbeddingModel(version), lambda _: rows, folder / "out")
    return made, version.name


def test_every_user_is_placed_in_one_file_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(file_batch, "BLOCK_ROWS", 64)
    monkeypatch.setattr(file_batch, "WRITE_ROWS", 256)
    rows = snapshot(600)
    made, name = predictor(tmp_path, rows, files())
    left = made.run(name, "datasets/now", Context())
    assert left["prediction_count"] == 600
    assert left["uri"].endswith("shop-1-now-embedding.arrow")
    with pa.memory_map(left["uri"]) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.schema.names == ["user_key", "eligible", "embedding"]
    assert table["user_key"].to_pylist() == rows.user_keys.tolist()
    assert table["eligible"].to_pylist() == rows.eligible.tolist()
    expected = rows.values @ jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), expected, rtol=1e-5)


def test_a_version_that_places_nobody_says_so_by_name(tmp_path):
    made, name = predictor(tmp_path, snapshot(3), {"weights.safetensors": b"w"})
    with pytest.raises(NotFoundError, match=r"has no file embed\.jaxexport"):
        made.run(name, "datasets/now", Context())


def test_features_that_the_model_was_not_trained_on_are_refused(tmp_path):
    made, name = predictor(tmp_path, snapshot(3, "f2"), files())
    with pytest.raises(FailedPreconditionError, match="its feature set is f2, not f1"):
        made.run(name, "datasets/now", Context())
    assert not (tmp_path / "out").exists()


def test_asked_to_stop_it_leaves_no_file(tmp_path):
    made, name = predictor(tmp_path, snapshot(3), files())
    with pytest.raises(CancelledError):
        made.run(name, "datasets/now", Context(looks=0))
    assert not list(tmp_path.rglob("shop-1-now*"))
