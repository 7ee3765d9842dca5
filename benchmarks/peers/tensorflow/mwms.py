"""TensorFlow MultiWorkerMirrored: `python mwms.py CASE_JSON` for each rank; rank 0 answers rounds.

The case says `rank`, `hosts` (address:port of every rank), the whole `batch`, `cores`, the images'
`shape` and `classes`, `network` ("lenet" or "resnet50") and `way`: "graph" (a call a step) or
"loop" (a round in one graph). A line is {"steps": N}.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import tensorflow as tf
from networks import lenet, resnet50
from tensorflow import keras

CASE = json.loads(sys.argv[1])
TASK = {"type": "worker", "index": CASE["rank"]}


def main() -> None:
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": CASE["hosts"]}, "task": TASK})
    tf.config.threading.set_intra_op_parallelism_threads(CASE["cores"])
    tf.config.threading.set_inter_op_parallelism_threads(2)
    ring = tf.distribute.experimental.CommunicationImplementation.RING
    options = tf.distribute.experimental.CommunicationOptions(implementation=ring)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    rng = np.random.default_rng(CASE["rank"])
    rows = CASE["batch"] // len(CASE["hosts"])
    x = tf.constant(rng.standard_normal((rows, *CASE["shape"])).astype(np.float32))
    y = tf.constant(rng.integers(0, CASE["classes"], rows).astype(np.int32))
    keras.utils.set_random_seed(0)
    with strategy.scope():
        build = {"lenet": lenet, "resnet50": resnet50}[CASE["network"]]
        model = build(CASE["shape"], CASE["classes"])
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        optimizer.build(model.trainable_variables)

    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True))
            loss = tf.reduce_sum(losses) / CASE["batch"]
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    @tf.function
    def one() -> tf.Tensor:
        return strategy.run(step)

    @tf.function
    def loop(count: tf.Tensor) -> tf.Tensor:
        loss = tf.constant(0.0)
        for _ in tf.range(count):
            loss = strategy.run(step)
        return loss

    def run(steps: int) -> None:
        if CASE["way"] == "loop":
            float(loop(tf.constant(steps)))
            return
        for _ in range(steps):
            loss = one()
        float(loss)

    @tf.function
    def total(value: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context
        everyone = tf.distribute.ReduceOp.SUM
        return strategy.run(lambda: context().all_reduce(everyone, tf.identity(value)))

    def wanted() -> int:
        """The steps that rank 0 was asked for; 0 when it is asked no more."""
        line = sys.stdin.readline() if CASE["rank"] == 0 else ""
        return int(total(tf.constant(float(json.loads(line)["steps"]) if line else 0.0)))

    run(3)
    checksum = tf.add_n([tf.reduce_sum(variable) for variable in model.trainable_variables])
    if abs(float(total(checksum)) - len(CASE["hosts"]) * float(checksum)) > 1e-3:
        raise RuntimeError("the ranks do not hold the same weights")
    print("ready", flush=True)
    while steps := wanted():
        started = time.perf_counter()
        run(steps)
        total(tf.constant(0.0))
        seconds = (time.perf_counter() - started) / steps
        if CASE["rank"] == 0:
            print("answer", json.dumps({"seconds": seconds}), flush=True)


main()
