"""Recipes over random rows, for benchmarks and trials; those over datasets are given by `runs`."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.ps.orders import Material, Recipe
from services.training.engine.rows import Arrays
from services.training.models import (
    Field,
    HeadSpec,
    InputSpec,
    Layer,
    Layout,
    Parameter,
    Step,
    parse_config,
    stateless,
)
from services.training.models.parts import linear

Array = jax.Array


def dense(widths: Sequence[int], rows: int) -> Material:
    """A plain chain of dense layers with ReLU from `widths[0]` numbers to `widths[-1]` classes.

    784, 1024, 1024, 1024, 10 makes 2.9 million parameters.
    """
    pairs = list(pairwise(widths))
    layers = tuple(
        _dense_layer(number, *pair, is_last=number == len(pairs) - 1)
        for number, pair in enumerate(pairs)
    )
    field = Field("features", (widths[0],))
    return Material(layers, cross_entropy, random_rows(InputSpec((field,)), widths[-1], rows))


def registered_model(
    model: Mapping[str, Any], shape: Sequence[int], classes: int, rows: int, field: str = "features"
) -> Material:
    """Any registered model on rows of one float input called `field`.

    Args:
        model: Its declaration, for example `{"type": "lenet5"}`.
        shape: Of one row of the input.
    """
    inputs = InputSpec((Field(field, tuple(shape)),))
    layers = parse_config(model).build(inputs, (HeadSpec("kind", classes),))
    return Material(layers, cross_entropy, random_rows(inputs, classes, rows))


RECIPES: Mapping[str, Recipe] = {"dense": dense, "registered_model": registered_model}


def random_rows(inputs: InputSpec, classes: int, count: int) -> Arrays:
    """Normal inputs whose class has nothing to do with them; always the same ones."""
    rng = np.random.default_rng(0)
    made = {
        field.name: rng.standard_normal((count, *field.shape), np.float32)
        for field in inputs.fields
    }
    return Arrays(made, {"kind": rng.integers(0, classes, count).astype(np.int32)})


def cross_entropy(outputs: dict[str, Array], targets: dict[str, Array], weights: Array) -> Array:
    """Of the head "kind", by row."""
    logits = outputs["kind"]
    chosen = jnp.take_along_axis(logits, targets["kind"][:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=1) - chosen) * weights


def _dense_layer(number: int, width_in: int, width_out: int, *, is_last: bool) -> Layer:
    weight = Parameter("weight", (width_in, width_out), scale=sqrt(2.0 / width_in))
    layout = Layout((weight, Parameter("bias", (width_out,))))

    def apply(
        p: Mapping[str, Array],
        carry: dict[str, Array],
        step: Step,  # noqa: ARG001
    ) -> dict[str, Array]:
        below = carry["hidden"] if number else carry["features"]
        out = linear(below, p["weight"], p["bias"])
        return {"kind": out} if is_last else {"hidden": jax.nn.relu(out)}

    return stateless(f"dense{number}", layout, apply, is_divisible=True)
