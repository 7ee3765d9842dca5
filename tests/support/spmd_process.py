"""Programs for tests of `spmd`: the number of a process's devices is fixed when JAX starts.

`virtual REFERENCES`: how far training on two and four virtual devices ends from training on one,
for every model; what one device gives is left in the folder REFERENCES.
`group COORDINATOR PROCESSES NUMBER REFERENCES`: the same for a group of one-device processes and
a few models.
`fit FOLDER STOP`: one small fit on all virtual devices that stops before its step STOP.
`member COORDINATOR PROCESSES NUMBER FOLDER HOLD RESULT`: the same fit by a process of a group. It
waits before its step HOLD until its input is closed, and leaves its weights in the file RESULT.
"""

import json
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from services.training.engine import FitConfig, OptimizerConfig, fit, init_weights
from services.training.engine.checkpoints import Checkpoints
from services.training.engine.local import OneDevice, numbers, widen, widen_batch
from services.training.engine.optimizers import optimizers
from services.training.engine.rows import Plan, take
from services.training.engine.runtimes import LeanRuntime
from services.training.engine.spmd import OnMesh, SpmdRuntime, data_mesh, join_group
from services.training.engine.step import init_state
from services.training.models import MlpConfig, registered, table
from shared.errors import CancelledError
from tests.support.model_suite import HEADS, loss, random_rows, subject

BATCH = 16
PRECISE = FitConfig(batch_size=BATCH, micro_batches=4, precision="float64")
PLAIN = replace(PRECISE, precision="float32", optimizer=OptimizerConfig("sgd", 1e-2))
LAMB = replace(PRECISE, optimizer=OptimizerConfig("lamb", 1e-2, clip_norm=0.1))
STEPS, FEW_STEPS = 200, 3

# For what is not a matter of the model, such as who exchanges: plain, with a loop, with states.
SOME = ["mlp", "gru", "resnet50"]

FIT = FitConfig(batch_size=24, micro_batches=6, epochs=3, precision="float64")
FIT_LAYERS = MlpConfig(width=8, blocks=1).build(table(6), HEADS)


def trained(model, config, steps, stages):
    """Whole state after the steps, which are divided evenly among (exchange, mesh) in turn."""
    with numbers(config):
        transforms = optimizers(config.optimizer, model.layers, steps)
        state = init_state(widen(init_weights(model.layers, 1), config), transforms)
        rows = random_rows(model.inputs, 3 * BATCH, 0)
        for stage, (exchange, mesh) in enumerate(stages):
            if mesh is None:
                lying, runtime = OneDevice(), LeanRuntime(model.layers, loss, config, transforms)
            else:
                lying = OnMesh(mesh, exchange)
                runtime = SpmdRuntime(model.layers, loss, config, steps, mesh, exchange)
            state = lying.place(state)
            for step in range(stage * steps // len(stages), (stage + 1) * steps // len(stages)):
                # Filled up with rows of weight 0, a different number each time.
                plan = Plan(np.arange(BATCH - step % 3) + step % 3 * BATCH)
                batch = lying.batch(
                    BATCH,
                    lambda part, plan=plan: widen_batch(take(rows, plan, BATCH, part), config),
                )
                state, _ = runtime.step(state, batch, jnp.asarray(7, jnp.uint32))
            state = jax.tree.map(np.asarray, lying.whole(state))
        return state


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def farthest(arrays, others):
    """The largest difference between two lists of arrays."""
    pairs = zip(arrays, others, strict=True)
    return max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)


def compare(case, config, steps, all_stages, references, models):
    """Print for each model and each list of stages how far it ends from the reference."""
    for name in models:
        model = subject(name, registered()[name])
        results = [trained(model, config, steps, stages) for stages in all_stages]
        kept = Path(references, f"{name}-{config.precision}-{config.optimizer.kind}.npz")
        if not kept.exists():
            leaves = jax.tree.leaves(trained(model, config, steps, [(None, None)]))
            np.savez(kept, *leaves)
        reference = list(np.load(kept).values())
        for number, result in enumerate(results):
            line = {"model": name, "case": f"{case}-{number}"}
            distance = farthest(jax.tree.leaves(result), reference)
            say(json.dumps({**line, "distance": distance}))


def virtual(references):
    two, four = (Mesh(np.array(jax.devices()[:n]), ("data",)) for n in (2, 4))
    models = list(registered())
    compare("float64", PRECISE, STEPS, [[("sharded", four)]], references, models)
    compare("float32", PLAIN, FEW_STEPS, [[("fused", four)]], references, models)
    compare("halves", PLAIN, FEW_STEPS, [[("sharded", two)]], references, SOME)
    ways = [[("fused", four)], [("sharded", two), ("sharded", four)]]
    compare("lamb", LAMB, STEPS, ways, references, ["mlp"])


def group(coordinator, processes, number, references):
    join_group(coordinator, int(processes), int(number))
    ways = [[("fused", data_mesh())]]
    compare("group", PRECISE, STEPS, ways, references, SOME)


def stop_before(step):
    """True at the `step`-th question."""
    asked = count()
    return lambda: next(asked) == step


def small_fit(folder, mode, should_stop=lambda: False):
    """The small fit, saved as often as it is asked; None when it was stopped."""
    ticks = count()
    with Checkpoints(Path(folder), "fit", every_seconds=1, clock=lambda: next(ticks)) as kept:
        try:
            return fit(
                FIT_LAYERS,
                loss,
                random_rows(table(6), 100, 0),
                random_rows(table(6), 30, 5),
                replace(FIT, mode=mode),
                seed=2,
                checkpoints=kept,
                should_stop=should_stop,
            )
        except CancelledError:
            return None


def fit_part(folder, stop):
    small_fit(folder, "spmd", stop_before(int(stop)))


def member(coordinator, processes, number, folder, hold, result):
    join_group(coordinator, int(processes), int(number), lost_after_seconds=10)
    steps = count()

    def should_stop():
        if next(steps) == int(hold):
            say("holding")
            sys.stdin.read()
        return False

    np.savez(result, **small_fit(folder, "spmd", should_stop).parameters)


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    programs = {"virtual": virtual, "group": group, "fit": fit_part, "member": member}
    programs[name](*arguments)
