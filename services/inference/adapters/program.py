"""One exported program: StableHLO in, compiled executables for fixed batch sizes out."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jax import export
from numpy.typing import NDArray

from services.inference.domain.buckets import cut, pad
from shared.errors import FailedPreconditionError
from shared.registry import ModelVersion

Weights = Mapping[str, jax.Array]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Row:
    """Shape and type of one row of an argument."""

    shape: tuple[int, ...]
    dtype: Any


class Program:
    """Runs a program over any number of rows through a few compiled batch sizes.

    Args:
        version: Where the program's file is.
        file: Name of the file.
        weights: First argument of every call.
        inputs: One row of each further argument.
        outputs: Shape of one row of each output; None where the output is not per row.
    """

    def __init__(
        self,
        version: ModelVersion,
        file: str,
        weights: Weights,
        inputs: Sequence[Row],
        outputs: Mapping[str, tuple[int, ...] | None],
    ) -> None:
        self._name = f"{file} of {version.name}"
        self._exported = _deserialised(version, file)
        self._weights, self._inputs, self._outputs = weights, tuple(inputs), outputs
        self._check_signature(version)
        self._jitted = jax.jit(self._exported.call)
        self._compiled: dict[int, Any] = {}
        self._lock = threading.Lock()

    def prepare(self, bucket: int) -> None:
        """Compile for a batch size and run it once, so that no request pays for it."""
        with self._lock:
            if bucket in self._compiled:
                return
            rows = [np.zeros((bucket, *row.shape), row.dtype) for row in self._inputs]
            compiled = self._jitted.lower(dict(self._weights), *rows).compile()
            for output in compiled(dict(self._weights), *rows).values():
                np.asarray(output)
            self._compiled = {**self._compiled, bucket: compiled}

    def run(self, *arguments: NDArray[Any]) -> Arrays:
        """Return the outputs for as many rows as were given."""
        compiled = self._compiled  # one look: another thread may add a batch size meanwhile
        pieces = []
        for start, stop, bucket in cut(len(arguments[0]), tuple(sorted(compiled))):
            rows = [_padded(argument[start:stop], bucket) for argument in arguments]
            outputs = compiled[bucket](dict(self._weights), *rows)
            pieces.append((stop - start, outputs))
        return {
            name: _joined([(count, piece[name]) for count, piece in pieces], shape)
            for name, shape in self._outputs.items()
        }

    def _check_signature(self, version: ModelVersion) -> None:
        exported = self._exported
        outputs = jax.tree_util.tree_unflatten(exported.out_tree, exported.out_avals)
        wants, _ = jax.tree_util.tree_unflatten(exported.in_tree, exported.in_avals)
        rows = [(tuple(want.shape[1:]), want.dtype) for want in wants[1:]]
        mistakes = []
        if _kinds(wants[0]) != _kinds(self._weights):
            mistakes.append("its weights have other names, shapes or types")
        if rows != [(row.shape, np.dtype(row.dtype)) for row in self._inputs]:
            mistakes.append(f"it wants rows of {rows}, not of {list(self._inputs)}")
        if not isinstance(outputs, dict) or set(outputs) != set(self._outputs):
            mistakes.append(f"it must return {', '.join(self._outputs)}")
        else:
            mistakes += [
                f"its {name} has shape {outputs[name].shape} and type {outputs[name].dtype}"
                for name, shape in self._outputs.items()
                if tuple(outputs[name].shape[1:]) != (shape or ())
                or outputs[name].dtype != "float32"
            ]
        if mistakes:
            raise FailedPreconditionError(
                f"{self._name} cannot be served: {'; '.join(mistakes)}. Train and publish again.",
                reason="MODEL_SIGNATURE_DIFFERS",
                version=version.name,
                mistakes="; ".join(mistakes),
            )


def weights_of(version: ModelVersion) -> Weights:
    """The weights of a version, on the device."""
    loaded = safetensors.numpy.load(version.read("weights.safetensors"))
    return {name: jnp.asarray(weight) for name, weight in loaded.items()}


def _deserialised(version: ModelVersion, file: str) -> export.Exported:
    content = version.read(file)
    try:
        return export.deserialize(bytearray(content))
    except Exception as error:  # JAX raises many kinds for a program of another release
        raise FailedPreconditionError(
            f"{file} of {version.name} was exported by JAX "
            f"{version.manifest.get('jax_version', '(unknown)')} and cannot be read by JAX "
            f"{jax.__version__}. Train and publish again.",
            reason="MODEL_PROGRAM_UNREADABLE",
            version=version.name,
            file=file,
            jax_version=jax.__version__,
        ) from error


def _kinds(arrays: Any) -> dict[str, Any]:
    return {name: (tuple(array.shape), array.dtype) for name, array in arrays.items()}


def _joined(pieces: list[tuple[int, Any]], shape: tuple[int, ...] | None) -> NDArray[Any]:
    if shape is None:
        return np.asarray(pieces[0][1]) if pieces else np.zeros((), np.float32)
    parts = [np.asarray(piece)[:count] for count, piece in pieces]
    return np.concatenate(parts) if parts else np.zeros((0, *shape), np.float32)


def _padded(rows: NDArray[Any], bucket: int) -> NDArray[Any]:
    if rows.dtype == np.bool_:
        filler = np.zeros((bucket - len(rows), *rows.shape[1:]), np.bool_)
        return np.concatenate([rows, filler])
    return pad(rows, bucket)
