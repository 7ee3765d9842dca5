"""A fit to be killed: `python -m tests.support.killed_fit FOLDER` says each step it begins.

What it ends with lies in FOLDER beside what the same fit ends with that nobody disturbs.
"""

import sys
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file

from services.training.engine import FitConfig, Fitter, OptimizerConfig
from services.training.engine.checkpoints import Checkpoints
from services.training.models import parse_config
from tests.support.model_suite import HEADS, loss, random_rows

MODEL = {"type": "lenet5", "filters": [2, 3], "dense": [8, 6]}
CONFIG = FitConfig(batch_size=8, epochs=3, optimizer=OptimizerConfig(learning_rate=1e-2))


def main(folder: Path) -> None:
    """Fit with checkpoints at every step, then once more without any."""
    jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    config = parse_config(MODEL)
    inputs = config.example().inputs
    rows = random_rows(inputs, 80, 0), random_rows(inputs, 8, 5)
    fitter = Fitter(config.build(inputs, HEADS), loss, CONFIG)

    def begin() -> bool:
        sys.stdout.write("step\n")
        sys.stdout.flush()
        return False

    with Checkpoints(folder / "checkpoints", "fit", every_seconds=0.0) as kept:
        result = fitter.fit(*rows, seed=3, should_stop=begin, checkpoints=kept)
    whole = fitter.fit(*rows, seed=3)
    for name, each in (("killed", result), ("whole", whole)):
        arrays = {key: np.asarray(value) for key, value in each.parameters.items()}
        save_file(arrays, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
