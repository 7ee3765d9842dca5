"""Rows, targets and a loss for any registered model, so that registering is enough to be tested."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import Arrays
from services.training.models import HeadSpec, InputSpec, LayerList, ModelConfig

HEADS = (HeadSpec("kind", 3), HeadSpec("value", 1))


@dataclass(frozen=True)
class Subject:
    """A registered model's example, built for two heads."""

    name: str
    layers: LayerList
    inputs: InputSpec


def subject(name: str, config: type[ModelConfig]) -> Subject:
    """The example of a registered config."""
    example = config.example()
    return Subject(name, example.config.build(example.inputs, HEADS), example.inputs)


def random_inputs(inputs: InputSpec, count: int, seed: int) -> dict[str, np.ndarray]:
    """Normal floats, tokens below the vocabulary, and masks of the first few steps."""
    rng = np.random.default_rng(seed)
    made = {}
    for field in inputs.fields:
        shape = (count, *field.shape)
        if field.dtype == "bool":
            lengths = rng.integers(1, field.shape[0] + 1, (count, 1))
            made[field.name] = np.arange(field.shape[0])[None, :] < lengths
        elif field.vocabulary:
            made[field.name] = rng.integers(0, field.vocabulary, shape).astype(field.dtype)
        else:
            made[field.name] = rng.standard_normal(shape).astype(field.dtype)
    return made


def random_rows(inputs: InputSpec, count: int, seed: int) -> Arrays:
    """Rows whose targets have nothing to do with their inputs: fit only by memory."""
    rng = np.random.default_rng(seed + 1)
    targets = {
        "kind": rng.integers(0, 3, count).astype(np.int32),
        "value": rng.standard_normal(count).astype(np.float32),
    }
    return Arrays(random_inputs(inputs, count, seed), targets)


def loss(outputs, targets, weights):
    """Cross-entropy of the kind plus half the squared error of the value, by row."""
    logits = outputs["kind"]
    chosen = jnp.take_along_axis(logits, targets["kind"][:, None], axis=1)[:, 0]
    entropy = jax.nn.logsumexp(logits, axis=1) - chosen
    return (entropy + 0.5 * jnp.square(outputs["value"][:, 0] - targets["value"])) * weights
