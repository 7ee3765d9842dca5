"""The training engine: one description of a model, trained by any runtime."""

from services.training.engine.environment import worker_environment
from services.training.engine.fitting import EpochReport, FitConfig, FitResult, Objective, Pace
from services.training.engine.layers import Weights, forward, init_weights, predict_fn
from services.training.engine.local import Fitter, fit
from services.training.engine.optimizers import OptimizerConfig
from services.training.engine.rows import Arrays

__all__ = [
    "Arrays",
    "EpochReport",
    "FitConfig",
    "FitResult",
    "Fitter",
    "Objective",
    "OptimizerConfig",
    "Pace",
    "Weights",
    "fit",
    "forward",
    "init_weights",
    "predict_fn",
    "worker_environment",
]
