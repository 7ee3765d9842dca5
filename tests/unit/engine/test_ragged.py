"""Sequences of very different length are fitted together, and nothing is learned from filling."""

import jax
import numpy as np
import pytest

from services.training.engine import Arrays, FitConfig, Fitter, OptimizerConfig
from services.training.models import HeadSpec, parse_config
from services.training.models.sequence import sequence

LONGEST, VOCABULARY = 30, 5
INPUTS = sequence(LONGEST, vocabulary=VOCABULARY, width=2)
CONFIG = FitConfig(
    batch_size=16,
    epochs=4,
    patience=0,
    optimizer=OptimizerConfig(learning_rate=1e-2, schedule="constant", warmup_share=0.0),
)
MODELS = [
    {"type": "lstm", "width": 8, "dropout": 0.0},
    {"type": "transformer", "width": 8, "blocks": 1, "attention_heads": 2, "dropout": 0.0},
]


def rows(count, filling):
    """Every step leans towards the label; what comes after a row's last step is `filling`."""
    rng = np.random.default_rng(4)
    lengths = rng.integers(1, LONGEST + 1, count)
    mask = np.arange(LONGEST)[None, :] < lengths[:, None]
    labels = rng.integers(0, 2, count).astype(np.float32)
    leaning = rng.standard_normal((count, LONGEST, 2)) + 2.0 * labels[:, None, None] - 1.0
    steps = np.where(mask[:, :, None], leaning, 100.0 * filling).astype(np.float32)
    tokens = np.where(mask, rng.integers(0, VOCABULARY, mask.shape), filling).astype(np.int32)
    inputs = {"tokens": tokens, "steps": steps, "mask": mask}
    return Arrays(inputs, {"label": labels}, None, lengths, ("tokens", "steps", "mask"))


class LogLoss:
    """Counts how often it is made part of a program."""

    def __init__(self):
        self.traced = 0

    def __call__(self, outputs, targets, weights):
        self.traced += 1
        logit = outputs["label"][:, 0]
        return (jax.nn.softplus(logit) - targets["label"] * logit) * weights


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["type"])
def test_a_fit_over_ragged_sequences_learns_and_never_looks_at_filling(model):
    layers = parse_config(model).build(INPUTS, (HeadSpec("label", 1),))
    loss = LogLoss()
    fitter = Fitter(layers, loss, CONFIG)
    results = [fitter.fit(rows(120, each), rows(40, each), seed=1) for each in (0, 3)]
    losses = [report.train_loss for report in results[0].history]
    assert losses[-1] < 0.7 * losses[0]
    for name, value in results[0].parameters.items():
        assert np.array_equal(value, results[1].parameters[name]), name
    # Buckets of 8, 16 and 30 steps, each in one program to train and one to evaluate.
    assert loss.traced == 2 * 3
