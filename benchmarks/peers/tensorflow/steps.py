"""TensorFlow's side of a case: `python steps.py WAY CASE_JSON` answers a line with a round.

WAY is "graph" (a call a step), "loop" (all steps in one graph) or "xla" (a compiled step).
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


def main() -> None:
    way, case = sys.argv[1], json.loads(sys.argv[2])
    tf.config.threading.set_intra_op_parallelism_threads(case["cores"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((case["batch"], *case["shape"])).astype(np.float32))
    y = tf.constant(rng.integers(0, case["classes"], case["batch"]).astype(np.int32))
    network = resnet50 if case["name"].startswith("resnet50") else lenet
    model = network(case["shape"], case["classes"])
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = entropy(y, model(x, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    one = tf.function(step, jit_compile=way == "xla")

    @tf.function
    def loop(count: tf.Tensor) -> tf.Tensor:
        loss = tf.constant(0.0)
        for _ in tf.range(count):
            loss = step()
        return loss

    def run(steps: int) -> float:
        if way == "loop":
            return float(loop(tf.constant(steps)))
        for _ in range(steps):
            loss = one()
        return float(loss)

    run(3)
    print("ready", flush=True)
    for _ in sys.stdin:
        started, busy = time.perf_counter(), time.process_time()
        run(case["steps"])
        taken = {
            "seconds": (time.perf_counter() - started) / case["steps"],
            "cpu_seconds": (time.process_time() - busy) / case["steps"],
        }
        print("answer", json.dumps(taken), flush=True)


main()
