"""Runs a published version that says when something happens."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.inference.adapters.attribute_program import AttributeProgram
from services.inference.adapters.program import Program, Row, weights_of
from services.inference.domain.prediction import Attribution, Flags, Floats, ModelFacts
from services.inference.domain.reasons import Wording
from services.inference.usecases.telling import as_json, reasons_of
from shared.registry import ModelVersion

BUCKET, REASONS_BUCKET = 512, 64
_CHANCES, _DAYS = "chances", ("days_low", "days", "days_high")


class WaitModel:
    """A loaded model version.

    Args:
        version: From the registry; its files are checked as they are read.
        wording: How features are told.

    Raises:
        NotFoundError: It gives no reasons: it is older than they are.
        FailedPreconditionError: Its files are damaged.
    """

    fields = (
        pa.field("probability", pa.float32()),
        *(pa.field(name, pa.float32()) for name in _DAYS),
        pa.field(_CHANCES, pa.list_(pa.float32())),
        pa.field("reasons", pa.string()),
    )
    """The probability within the horizon, the days by which it has happened with a chance of 10, 50
    and 90 %, none where that is later, the chances by the end of each twelfth, and what pushed the
    probability up or down."""
    suffix = ""

    def __init__(self, version: ModelVersion, wording: Wording) -> None:
        manifest = version.manifest
        self.facts = ModelFacts.of(version.name, manifest)
        parts = int(manifest["signature"]["predict"]["outputs"][_CHANCES]["shape"][1])
        weights, features = weights_of(version), Row((len(self.facts.features),), np.float32)
        self._wording = wording
        self._attribute = AttributeProgram(version, weights, features, (REASONS_BUCKET,))
        self._predict = Program(
            version,
            "predict.jaxexport",
            weights,
            [features, Row((), np.bool_)],
            {_CHANCES: (parts,), **dict.fromkeys(_DAYS, ())},
        )
        self._predict.prepare(BUCKET)

    def attribute(self, features: Floats) -> Attribution:
        """Return contributions to the logit that it happens within the horizon."""
        return self._attribute.run(features)

    def answer(self, features: Floats, eligible: Flags) -> list[pa.Array]:
        """Say of each row when it happens, and why so probably."""
        rows = np.ascontiguousarray(features)
        said = self._predict.run(rows, eligible)
        reasons = reasons_of(self, rows, eligible, self._wording)
        return [
            pa.array(said[_CHANCES][:, -1], pa.float32()),
            *(_known(said[name]) for name in _DAYS),
            pa.array(list(said[_CHANCES]), pa.list_(pa.float32())),
            pa.array([as_json(of_row) for of_row in reasons], pa.string()),
        ]


def _known(days: NDArray[np.float32]) -> pa.Array:
    return pa.array(days, pa.float32(), mask=np.isnan(days))
