"""Runs a published version that says when something happens."""

import numpy as np

from services.inference.adapters.program import Program, Row, weights_of
from services.inference.domain.prediction import Flags, Floats
from services.inference.usecases.wait_batch import Waits
from shared.errors import FailedPreconditionError
from shared.registry import ModelVersion

BUCKET = 512
_CHANCES, _LOW, _DAYS, _HIGH = "chances", "days_low", "days", "days_high"


class WaitModel:
    """A loaded model version.

    Args:
        version: From the registry; its files are checked as they are read.

    Raises:
        FailedPreconditionError: Its files are damaged.
    """

    def __init__(self, version: ModelVersion) -> None:
        manifest = version.manifest
        self._name = version.name
        self._features = tuple(manifest["features"])
        self._set = str(manifest["feature_set_version"])
        parts = int(manifest["signature"]["predict"]["outputs"][_CHANCES]["shape"][1])
        self._program = Program(
            version,
            "predict.jaxexport",
            weights_of(version),
            [Row((len(self._features),), np.float32), Row((), np.bool_)],
            {_CHANCES: (parts,), _LOW: (), _DAYS: (), _HIGH: ()},
        )
        self._program.prepare(BUCKET)

    def require_fit(self, features: tuple[str, ...], feature_set_version: str, name: str) -> None:
        """Refuse a dataset that holds other features.

        Raises:
            FailedPreconditionError: The message names both.
        """
        if (features, feature_set_version) != (self._features, self._set):
            raise FailedPreconditionError(
                f"{self._name} was trained on feature set {self._set} and {name} holds "
                f"{feature_set_version}; train again",
                reason="MODEL_DOES_NOT_FIT",
                version=self._name,
                dataset=name,
            )

    def waits(self, features: Floats, eligible: Flags) -> Waits:
        """Say of each row when it happens."""
        said = self._program.run(np.ascontiguousarray(features), eligible)
        return Waits(said[_CHANCES], said[_LOW], said[_DAYS], said[_HIGH])
