"""TensorFlow's side of a LeNet-5 case: `python steps.py CASE_JSON` times a round a line."""

import json
import sys
import time

import numpy as np
import tensorflow as tf
from tensorflow import keras


def lenet(shape: list[int], classes: int) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(tuple(shape)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPool2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPool2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(classes),
        ]
    )


def main() -> None:
    case = json.loads(sys.argv[1])
    tf.config.threading.set_intra_op_parallelism_threads(case["cores"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((case["batch"], *case["shape"])).astype(np.float32))
    y = tf.constant(rng.integers(0, case["classes"], case["batch"]))
    model = lenet(case["shape"], case["classes"])
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = entropy(y, model(x, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    for _ in range(3):
        step(x, y)
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(case["steps"]):
            loss = step(x, y)
        float(loss)
        print("seconds", (time.perf_counter() - started) / case["steps"], flush=True)


main()
