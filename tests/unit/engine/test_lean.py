"""In lean mode one layer's gradient is in memory at a time."""

import gc

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import FitConfig, OptimizerConfig, init_weights
from services.training.engine.local import to_device
from services.training.engine.optimizers import optimizers
from services.training.engine.rows import Plan, take
from services.training.engine.runtimes import LeanRuntime
from services.training.engine.step import init_state
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows


def live_bytes(size):
    """Bytes of live flat vectors of `size` numbers."""
    gc.collect()
    return sum(a.nbytes for a in jax.live_arrays() if a.shape == (size,))


def test_only_one_layers_gradient_is_alive_in_a_network_of_eight_layers():
    layers = MlpConfig(width=128, blocks=6, dropout=0.0).build(table(16), HEADS)
    assert len(layers) == 8
    optimizer = OptimizerConfig(kind="sgd", momentum=0.0, clip_norm=None, weight_decay=0.0)
    config = FitConfig(batch_size=8, micro_batches=2, optimizer=optimizer)
    transforms = optimizers(optimizer, layers, 10)
    block = layers[3].layout.size
    alive = []
    runtime = LeanRuntime(
        layers, loss, config, transforms, lambda _: alive.append(live_bytes(block))
    )
    state = init_state(init_weights(layers, 0), transforms)
    # SGD with momentum 0 keeps one trace a layer beside the vector itself.
    standing = live_bytes(block)
    batch = to_device(take(random_rows(table(16), 8, 0), Plan(np.arange(8)), 8))
    state, _ = runtime.step(state, batch, jnp.uint32(0))
    assert standing == 6 * 2 * block * 4
    assert max(alive) == standing + block * 4
    assert live_bytes(block) == standing
