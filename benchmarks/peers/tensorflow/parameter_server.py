"""TensorFlow ParameterServerStrategy: `python parameter_server.py CASE_JSON` for each task.

The case says `task` ("worker", "ps" or "chief") and its `index`, `hosts` (address:port of every
task by kind, one chief), `cores`, the whole `batch`, and `way`: how often the chief asks a worker:
"step" (for every step) or "ten" (for ten at once). The chief coordinates and answers lines
{"steps": N} with rounds. Updates are asynchronous, as they always are here; a step of a round is
one batch by every worker, of `batch` rows between them. LeNet-5 on images of a `shape` and
`classes`, in plain TensorFlow: Keras no longer trains under this strategy.
"""

import json
import os
import sys
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("GRPC_FAIL_FAST", "use_caller")

import numpy as np
import tensorflow as tf

CASE = json.loads(sys.argv[1])
HEIGHT, WIDTH, CHANNELS = CASE["shape"]
FLAT = 16 * ((HEIGHT // 2 - 4) // 2) * ((WIDTH // 2 - 4) // 2)
SHAPES = {
    "conv0": (5, 5, CHANNELS, 6),
    "conv1": (5, 5, 6, 16),
    "dense0": (FLAT, 120),
    "dense1": (120, 84),
    "dense2": (84, CASE["classes"]),
}
RATE, MOMENTUM = 0.01, 0.9


def logits(x: tf.Tensor, p: dict[str, tf.Variable]) -> tf.Tensor:
    """LeNet-5 with ReLU and max-pooling."""
    for name, padding in (("conv0", "SAME"), ("conv1", "VALID")):
        x = tf.nn.relu(tf.nn.conv2d(x, p[name], 1, padding) + p[f"{name}/bias"])
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    x = tf.reshape(x, (-1, FLAT))
    for name in ("dense0", "dense1", "dense2"):
        x = tf.matmul(x, p[name]) + p[f"{name}/bias"]
        x = tf.nn.relu(x) if name != "dense2" else x
    return x


def serve() -> None:
    """Be a worker or a parameter server until stdin closes."""
    threading.Thread(target=lambda: sys.stdin.read() or os._exit(0), daemon=True).start()
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=CASE["cores"], inter_op_parallelism_threads=4
    )
    server = tf.distribute.Server(
        tf.train.ClusterSpec(CASE["hosts"]),
        job_name=CASE["task"],
        task_index=CASE["index"],
        protocol="grpc",
        config=config,
    )
    print("ready", flush=True)
    server.join()


def coordinate() -> None:
    """Train in rounds."""
    strategy = tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(CASE["hosts"]), task_type="chief", task_id=0, rpc_layer="grpc"
        )
    )
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    rng = np.random.default_rng(0)
    workers = len(CASE["hosts"]["worker"])
    rows = CASE["batch"] // workers
    p, velocity = {}, {}
    with strategy.scope():
        for name, shape in SHAPES.items():
            drawn = rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))
            p[name] = tf.Variable(drawn.astype(np.float32))
            p[f"{name}/bias"] = tf.Variable(tf.zeros(shape[-1]))
        for name, value in p.items():
            velocity[name] = tf.Variable(tf.zeros(value.shape), trainable=False)

    def batches() -> tf.data.Dataset:
        """Each worker's own batch, kept in its memory."""
        x = tf.random.stateless_normal((rows, HEIGHT, WIDTH, CHANNELS), (0, 0))
        y = tf.random.stateless_uniform((rows,), (0, 1), 0, CASE["classes"], tf.int32)
        return tf.data.Dataset.from_tensors((x, y)).cache().repeat()

    source = iter(coordinator.create_per_worker_dataset(batches))
    each = 10 if CASE["way"] == "ten" else 1

    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits(x, p))
            loss = tf.reduce_mean(losses)
        names = list(p)
        gradients = tape.gradient(loss, [p[name] for name in names])
        for name, gradient in zip(names, gradients, strict=True):
            # One operation where the variable lives: only the gradient crosses the network.
            tf.raw_ops.ResourceApplyMomentum(
                var=p[name].handle,
                accum=velocity[name].handle,
                lr=RATE,
                grad=gradient,
                momentum=MOMENTUM,
            )
        return loss

    @tf.function
    def some(iterator: tf.data.Iterator) -> tf.Tensor:
        x, y = next(iterator)
        loss = tf.constant(0.0)
        for _ in tf.range(each):
            loss = step(x, y)
        return loss

    def run(steps: int) -> float:
        asked = [coordinator.schedule(some, args=(source,)) for _ in range(workers * steps // each)]
        coordinator.join()
        return float(asked[-1].fetch())

    before = p["dense2"].numpy()
    loss = run(20)
    if not np.isfinite(loss) or np.array_equal(before, p["dense2"].numpy()):
        raise RuntimeError(f"the servers were not trained: the loss is {loss}")
    print("ready", flush=True)
    for line in sys.stdin:
        steps = json.loads(line)["steps"]
        started = time.perf_counter()
        run(steps)
        seconds = (time.perf_counter() - started) / steps
        print("answer", json.dumps({"seconds": seconds}), flush=True)
    os._exit(0)  # the strategy's threads would wait for workers that go on serving


if CASE["task"] == "chief":
    coordinate()
else:
    serve()
