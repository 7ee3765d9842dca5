"""Products named for every user of a scoring dataset, by an exported program."""

from datetime import UTC, datetime

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from jax import export
from safetensors.numpy import save

from services.inference.adapters.product_model import ProductModel
from services.inference.usecases.product_batch import ProductBatchPredictor
from shared.dataset.products import NONE, ProductRows, write_products
from shared.errors import FailedPreconditionError
from shared.registry import ModelRegistry

IDS = tuple(f"P{number:02d}" for number in range(20))
AS_OF = datetime(2020, 1, 1, tzinfo=UTC)
CANDIDATES = 12


class Work:
    """A job that nobody watches."""

    def progress(self, completed, total, unit, message=""):
        """Say nothing."""

    def raise_if_cancelled(self):
        """Go on."""

    def update(self, **values):
        """Forget it."""


def rows(count):
    """Candidates whose only feature is how likely they are; the first three are the user's own."""
    rng = np.random.default_rng(0)
    products = np.stack([rng.permutation(len(IDS))[:CANDIDATES] for _ in range(count)])
    products[:, -1] = NONE
    no = np.zeros((count, CANDIDATES), np.bool_)
    is_own = no.copy()
    is_own[:, :3] = True
    features = rng.normal(size=(count, CANDIDATES, 1)).astype(np.float32)
    features[:, -1] = 99.0
    zeros = np.zeros(count, np.int32)
    return ProductRows(
        np.arange(count, dtype=np.uint64) + 1,
        np.zeros(count, np.int64),
        products.astype(np.int32),
        is_own,
        features,
        no,
        zeros,
        zeros,
    )


def dataset(folder, made):
    write_products(
        folder,
        [made.rows(slice(0, 70)), made.rows(slice(70, None))],
        name="datasets/now",
        purpose="scoring",
        predictions=("next_product",),
        features=("likely",),
        products=IDS,
        first_sold_ms=(0,) * len(IDS),
        candidate_count=CANDIDATES,
        as_ofs=(AS_OF,),
        known_at=AS_OF,
        horizon_days=90,
        time_zone="UTC",
    )
    return folder


def version(folder, count=CANDIDATES):
    def program(weights, features, is_own):
        score = features[..., 0] * weights["w"]
        return {"any": score - 0 * is_own.astype(jnp.float32), "new": -score}

    (b,) = export.symbolic_shape("b")
    kinds = {"w": jax.ShapeDtypeStruct((1,), np.float32)}
    block = jax.ShapeDtypeStruct((b, count, 1), np.float32)
    own = jax.ShapeDtypeStruct((b, count), np.bool_)
    files = {
        "predict.jaxexport": bytes(export.export(jax.jit(program))(kinds, block, own).serialize()),
        "weights.safetensors": save({"w": np.ones(1, np.float32)}),
    }
    manifest = {"kind": "products", "features": ["likely"], "candidate_count": count}
    return ModelRegistry(folder).publish("next_product", files, manifest)


def test_every_user_gets_the_likeliest_products_and_those_that_are_new(tmp_path):
    made = rows(100)
    folder, model = dataset(tmp_path / "now", made), version(tmp_path / "registry")
    predictor = ProductBatchPredictor(
        lambda _: ProductModel(model), lambda _: folder, tmp_path / "out"
    )
    left = predictor.run(model.name, "datasets/now", Work())
    assert left["prediction_count"] == 100
    with pa.memory_map(left["uri"]) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table["user_key"].to_pylist() == made.user_keys.tolist()
    likely = made.features[7, :-1, 0]
    best = [IDS[product] for product in made.products[7, :-1][np.argsort(-likely)]]
    assert table["any"][7].as_py() == best[:10]
    new = [IDS[product] for product in made.products[7, 3:-1][np.argsort(likely[3:])]]
    assert table["new"][7].as_py() == new[:10]


def test_candidates_that_the_model_was_not_trained_on_are_refused(tmp_path):
    folder, model = dataset(tmp_path / "now", rows(3)), version(tmp_path / "registry", 5)
    predictor = ProductBatchPredictor(
        lambda _: ProductModel(model), lambda _: folder, tmp_path / "out"
    )
    with pytest.raises(FailedPreconditionError, match=r"5 candidates.*12 of 1.*train again"):
        predictor.run(model.name, "datasets/now", Work())
    assert not (tmp_path / "out").exists()
