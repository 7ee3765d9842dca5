"""Cross layers multiply features as their formula says."""

import jax.numpy as jnp
import numpy as np

from services.training.engine import init_weights, predict_fn
from services.training.models import DcnConfig, HeadSpec, table

HEADS = (HeadSpec("kind", 1),)


def test_each_cross_adds_the_features_times_a_linear_map_of_what_was_crossed_before():
    layers = DcnConfig(crosses=2, width=4, blocks=0).build(table(3), HEADS)
    weights = {name: np.array(flat) for name, flat in init_weights(layers, 1).items()}
    rows = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    crossed = rows
    for number in range(2):
        flat = weights[f"cross{number}"]
        flat[9:] = 0.1
        crossed = crossed + rows * (crossed @ flat[:9].reshape(3, 3) + 0.1)
    # The head reads only what was crossed: the deep part's weights stay zero.
    weights["heads"][:3] = 1.0
    said = predict_fn(layers)(weights, {"features": jnp.asarray(rows)})["kind"]
    np.testing.assert_allclose(said[:, 0], crossed.sum(1), rtol=1e-5, atol=1e-5)


def test_without_crosses_it_still_reads_the_features_themselves():
    layers = DcnConfig(crosses=0, width=4, blocks=1).build(table(3), HEADS)
    weights = init_weights(layers, 1)
    weights["heads"] = weights["heads"].at[:3].set(1.0)
    rows = jnp.arange(6.0).reshape(2, 3)
    said = predict_fn(layers)(weights, {"features": rows})["kind"]
    np.testing.assert_allclose(said[:, 0], [3.0, 12.0], rtol=1e-6)
