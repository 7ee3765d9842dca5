"""Runs a published version that scores candidate products."""

import numpy as np
from numpy.typing import NDArray

from services.inference.adapters.program import Program, Row, weights_of
from shared.dataset.products import ProductManifest, ProductRows
from shared.errors import FailedPreconditionError
from shared.registry import ModelVersion

BUCKET = 64
ANY, NEW = "any", "new"


class ProductModel:
    """A loaded model version.

    Args:
        version: From the registry; its files are checked as they are read.

    Raises:
        FailedPreconditionError: Its files are damaged.
    """

    def __init__(self, version: ModelVersion) -> None:
        self._name = version.name
        self._features = tuple(version.manifest["features"])
        self._count = int(version.manifest["candidate_count"])
        rows = [
            Row((self._count, len(self._features)), np.float32),
            Row((self._count,), np.bool_),
        ]
        outputs = {ANY: (self._count,), NEW: (self._count,)}
        self._program = Program(version, "predict.jaxexport", weights_of(version), rows, outputs)
        self._program.prepare(BUCKET)

    def require_fit(self, dataset: ProductManifest) -> None:
        """Refuse candidates that are described by other features.

        Raises:
            FailedPreconditionError: The message names both.
        """
        if (dataset.features, dataset.candidate_count) != (self._features, self._count):
            raise FailedPreconditionError(
                f"{self._name} was trained on {self._count} candidates of "
                f"{len(self._features)} features and {dataset.name} holds "
                f"{dataset.candidate_count} of {len(dataset.features)}; train again",
                reason="MODEL_DOES_NOT_FIT",
                version=self._name,
                dataset=dataset.name,
            )

    def scores(self, rows: ProductRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a score of each candidate, as any product and as a new one."""
        said = self._program.run(np.ascontiguousarray(rows.features), rows.is_own)
        return said[ANY], said[NEW]
