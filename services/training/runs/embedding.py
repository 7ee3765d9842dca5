"""Where an ensemble's encoders place a customer: one short row, exported as a program."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from services.training.engine import predict_fn
from services.training.models import HeadSpec, LayerList
from services.training.models.layer import Layout
from services.training.runs.answer import Network, Weights, member_weights, network_inputs
from services.training.runs.config import RunConfig
from services.training.runs.export import EMBEDDING_WIDTH, serialized
from services.training.runs.members import Fitted
from services.training.runs.rows import Steps
from services.training.runs.unfolding import network_layers

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]
Build = Callable[[tuple[HeadSpec, ...]], LayerList]

EMBED_FILE = "embed.jaxexport"

_HEAD = "embedding"
_READS = (f"{_HEAD}/deep", f"{_HEAD}/weight")
"""What a head's matrix over the pooled row is called, whatever the model."""


def export_embedding(
    fitted: Fitted, config: RunConfig, steps: Steps, features: NumpyArray
) -> bytes:
    """The program (weights, features) -> embedding, with a free batch size.

    Args:
        fitted: The ensemble.
        config: All choices of the run.
        steps: Columns of each step of a sequence.
        features: Raw rows of eligible customers, over which the directions are found.
    """
    layers = pooled_layers(partial(network_layers, config.model_config(), fitted.scaling, steps))
    pooled = pooled_rows(fitted.network, layers)
    centre, directions = principal(np.asarray(jax.jit(pooled)(dict(fitted.weights), features)))

    def embed(weights: Weights, rows: Array) -> dict[str, Array]:
        return {_HEAD: (pooled(weights, rows) - centre[None, :]) @ directions}

    (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
    shape: Any = jax.ShapeDtypeStruct
    kinds = {name: shape(value.shape, value.dtype) for name, value in fitted.weights.items()}
    return serialized(jax.jit(embed), kinds, shape((batch, features.shape[1]), jnp.float32))


def pooled_layers(build: Build) -> LayerList:
    """A model's layers with one head that says the row which all heads read, as it is.

    Args:
        build: Builds the model for some heads.
    """
    reads = build((HeadSpec(_HEAD, 1),))[-1].layout.parameters
    size = next(each.shape[0] for each in reads if each.name in _READS)
    return build((HeadSpec(_HEAD, size),))


def pooled_weights(layers: LayerList, trained: Layout, weights: Mapping[str, Array]) -> Weights:
    """A member's weights for `pooled_layers`: as trained, with a head that adds nothing.

    Args:
        layers: From `pooled_layers`.
        trained: Layout of the last layer it was trained with.
        weights: Flat vector by layer name.
    """
    last = layers[-1]
    kept = trained.unpack(weights[last.name])
    parts = [
        kept[each.name]
        if each.name in kept
        else jnp.eye(each.shape[0])
        if each.name in _READS
        else jnp.zeros(each.shape)
        for each in last.layout.parameters
    ]
    return {**weights, last.name: jnp.concatenate([part.reshape(-1) for part in parts])}


def pooled_rows(network: Network, layers: LayerList) -> Callable[[Weights, Array], Array]:
    """(weights, raw features) -> the pooled rows of all members, side by side."""
    run, trained = predict_fn(layers), network.layers[-1].layout

    def pooled(weights: Weights, features: Array) -> Array:
        inputs = {"features": network_inputs(network, weights, features)}
        members = (member_weights(weights, number) for number in range(network.members))
        rows = [run(pooled_weights(layers, trained, each), inputs)[_HEAD] for each in members]
        return jnp.concatenate(rows, axis=1)

    return pooled


def principal(rows: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
    """Centre and directions [number, direction] of rows, those in which they differ most first.

    Directions that rows do not have are zeros.
    """
    wide = rows.astype(np.float64)
    centre = wide.mean(axis=0)
    found = np.linalg.eigh((wide - centre).T @ (wide - centre))[1][:, ::-1][:, :EMBEDDING_WIDTH]
    # A direction and its opposite are the same; the one whose largest number is positive is said.
    largest = np.abs(found).argmax(axis=0)
    directions = np.zeros((len(centre), EMBEDDING_WIDTH))
    directions[:, : found.shape[1]] = found * np.sign(found[largest, np.arange(found.shape[1])])
    return centre.astype(np.float32), directions.astype(np.float32)
