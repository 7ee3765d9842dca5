"""Our side of a case: `python -m benchmarks.training_ours CASE_JSON` answers with a round."""

import json
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import FitConfig, OptimizerConfig, init_weights
from services.training.engine.local import to_device
from services.training.engine.optimizers import optimizers
from services.training.engine.rows import Batch
from services.training.engine.runtimes import FusedRuntime
from services.training.engine.step import DeviceBatch, init_state
from services.training.models import (
    Field,
    HeadSpec,
    InputSpec,
    LayerList,
    parse_config,
    sequence,
    table,
)

MOMENTUM = OptimizerConfig(
    kind="sgd",
    learning_rate=0.01,
    schedule="constant",
    warmup_share=0.0,
    weight_decay=0.0,
    clip_norm=None,
)
ADAM = OptimizerConfig(
    kind="adamw", schedule="constant", warmup_share=0.0, weight_decay=0.01, clip_norm=None
)


def network(case: dict[str, Any]) -> tuple[LayerList, OptimizerConfig, dict[str, np.ndarray]]:
    """The layers of a case, its optimizer, and one batch of inputs."""
    rng = np.random.default_rng(0)
    shape, heads = tuple(case["shape"]), (HeadSpec("kind", case["classes"]),)
    rows = rng.standard_normal((case["batch"], *shape)).astype(np.float32)
    kind = case["name"].split("_")[0]
    if kind in ("lenet", "resnet50"):
        config = parse_config({"type": {"lenet": "lenet5"}.get(kind, kind)})
        images = InputSpec((Field("images", shape),))
        return config.build(images, heads), MOMENTUM, {"images": rows}
    if kind == "mlp":
        config = parse_config({"type": "mlp", **case["options"]})
        return config.build(table(*shape), heads), ADAM, {"features": rows}
    extra = {"dropout": 0.0} if kind == "lstm" else {}
    config = parse_config({"type": kind, **case["options"], **extra})
    mask = np.ones((case["batch"], shape[0]), bool)
    layers = config.build(sequence(shape[0], width=shape[1]), heads)
    return layers, ADAM, {"steps": rows, "mask": mask}


def entropy(
    outputs: dict[str, jax.Array], targets: dict[str, jax.Array], weights: jax.Array
) -> jax.Array:
    """Cross-entropy by row."""
    logits = outputs["kind"]
    chosen = jnp.take_along_axis(logits, targets["kind"][:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=1) - chosen) * weights


def main() -> None:
    """Compile, warm up, then time a round for every line read."""
    case = json.loads(sys.argv[1])
    layers, optimizer, inputs = network(case)
    labels = np.random.default_rng(1).integers(0, case["classes"], case["batch"]).astype(np.int32)
    ones = np.ones(case["batch"], np.float32)
    batch: DeviceBatch = to_device(Batch(inputs, {"kind": labels}, ones))
    config = FitConfig(batch_size=case["batch"], optimizer=optimizer)
    transforms = optimizers(optimizer, layers, 1000)
    runtime = FusedRuntime(layers, entropy, config, transforms)
    state, seed = init_state(init_weights(layers, 0), transforms), jnp.uint32(0)
    for _ in range(3):
        state, loss = runtime.step(state, batch, seed)
    loss.block_until_ready()
    print("ready", flush=True)
    for _ in sys.stdin:
        started, busy = time.perf_counter(), time.process_time()
        for _ in range(case["steps"]):
            state, loss = runtime.step(state, batch, seed)
        loss.block_until_ready()
        taken = {
            "seconds": (time.perf_counter() - started) / case["steps"],
            "cpu_seconds": (time.process_time() - busy) / case["steps"],
        }
        print("answer", json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()
