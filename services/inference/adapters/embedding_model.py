"""Runs the program of a published version that says where its encoder places users."""

import numpy as np

from services.inference.adapters.program import Program, Row, weights_of
from services.inference.domain.prediction import Floats, ModelFacts
from shared.registry import ModelVersion

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

    def __init__(self, version: ModelVersion) -> None:
        version.read(PROGRAM)  # before anything else of a version that may be of another kind
        self.facts = ModelFacts.of(version.name, version.manifest)
        signature = version.manifest["signature"]["embed"]["outputs"]
        self.width = int(signature[EMBEDDING]["shape"][1])
        rows = [Row((len(self.facts.features),), np.float32)]
        self._program = Program(
            version, PROGRAM, weights_of(version), rows, {EMBEDDING: (self.width,)}
        )
        self._program.prepare(BUCKET)

    def embed(self, features: Floats) -> Floats:
        """Place rows of features; NaN where a value is missing."""
        return self._program.run(np.ascontiguousarray(features))[EMBEDDING]
