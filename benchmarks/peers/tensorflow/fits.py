"""TensorFlow's side of a fit: `python fits.py WAY CASE_JSON` answers a line with a whole fit.

WAY is "loop" (an epoch in one graph, batches gathered from a tensor of bytes) or "fit" (Keras's
own `fit` over a cached `tf.data`).
"""

import json
import math
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import tensorflow as tf
from networks import lenet
from tensorflow import keras

ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def scaled(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def by_loop(model: keras.Model, optimizer: keras.Optimizer, case: dict, train: tuple) -> list:
    images, labels = tf.constant(train[0]), tf.constant(train[1])
    optimizer.build(model.trainable_variables)
    shuffle = np.random.default_rng(case["number"])

    @tf.function
    def epoch(order: tf.Tensor) -> tf.Tensor:
        loss = tf.constant(0.0)
        for start in tf.range(0, len(train[0]), case["batch"]):
            rows = order[start : start + case["batch"]]
            with tf.GradientTape() as tape:
                logits = model(scaled(tf.gather(images, rows)), training=True)
                loss = ENTROPY(tf.gather(labels, rows), logits)
            variables = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    ends = []
    for _ in range(case["epochs"]):
        float(epoch(tf.constant(shuffle.permutation(len(train[0])).astype(np.int32))))
        ends.append(time.perf_counter())
    return ends


def by_fit(model: keras.Model, optimizer: keras.Optimizer, case: dict, train: tuple) -> list:
    rows = (
        tf.data.Dataset.from_tensor_slices(train)
        .cache()
        .shuffle(len(train[0]), seed=case["number"])
        .batch(case["batch"])
        .map(lambda x, y: (scaled(x), y), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    ends: list[float] = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    model.compile(optimizer, ENTROPY, jit_compile=False, steps_per_execution=16)
    model.fit(rows, epochs=case["epochs"], callbacks=[watch], verbose=0)
    return ends


def fit(way: str, case: dict, train: tuple, test: tuple) -> dict:
    keras.utils.set_random_seed(case["number"])
    started = time.perf_counter()
    model = lenet(case["shape"], case["classes"])
    steps = case["epochs"] * math.ceil(len(train[0]) / case["batch"])
    rate = keras.optimizers.schedules.CosineDecay(case["learning_rate"], steps)
    optimizer = keras.optimizers.SGD(rate, momentum=case["momentum"])
    ends = (by_loop if way == "loop" else by_fit)(model, optimizer, case, train)
    logits = [model(scaled(test[0][i : i + 500])).numpy() for i in range(0, len(test[0]), 500)]
    return {
        "seconds": ends[-1] - started,
        "epoch_seconds": np.diff([started, *ends]).tolist(),
        "accuracy": float((np.concatenate(logits).argmax(1) == test[1]).mean()),
    }


def main() -> None:
    way, case = sys.argv[1], json.loads(sys.argv[2])
    tf.config.threading.set_intra_op_parallelism_threads(case["cores"])
    tf.config.threading.set_inter_op_parallelism_threads(case["cores"])
    kept = [np.load(Path(case["folder"]) / f"{part}.npz") for part in ("train", "test")]
    train, test = ((part["images"], part["labels"].astype(np.int32)) for part in kept)
    print("ready", flush=True)
    for line in sys.stdin:
        answer = fit(way, {**case, **json.loads(line)}, train, test)
        print("answer", json.dumps(answer), flush=True)


main()
