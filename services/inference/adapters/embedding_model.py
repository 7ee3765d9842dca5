"""Runs the program of a published version that says where its encoder places users."""

import numpy as np
import pyarrow as pa

from services.inference.adapters.program import Program, Row, weights_of
from services.inference.domain.prediction import Flags, Floats, ModelFacts
from shared.registry import ModelVersion

KIND = "embeddings"
BUCKET = 512
PROGRAM, EMBEDDING = "embed.jaxexport", "embedding"


class EmbeddingModel:
    """A loaded model version.

    Args:
        version: From the registry; its files are checked as they are read.

    Raises:
        NotFoundError: It has no such program: it is of images, or older than segments.
        FailedPreconditionError: Its files are damaged.
    """

    suffix = "-embedding"

    def __init__(self, version: ModelVersion) -> None:
        version.read(PROGRAM)  # before anything else of a version that may be of another kind
        self.facts = ModelFacts.of(version.name, version.manifest)
        signature = version.manifest["signature"]["embed"]["outputs"]
        self._width = int(signature[EMBEDDING]["shape"][1])
        self.fields = (pa.field(EMBEDDING, pa.list_(pa.float32(), self._width)),)
        rows = [Row((len(self.facts.features),), np.float32)]
        self._program = Program(
            version, PROGRAM, weights_of(version), rows, {EMBEDDING: (self._width,)}
        )
        self._program.prepare(BUCKET)

    def answer(self, features: Floats, eligible: Flags) -> list[pa.Array]:
        """Place rows of features, whoever they are; NaN where a value is missing."""
        del eligible
        placed = self._program.run(np.ascontiguousarray(features))[EMBEDDING]
        flat = pa.array(placed.reshape(-1), pa.float32())
        return [pa.FixedSizeListArray.from_arrays(flat, self._width)]
