"""Runs a published version: weights and programs from the registry, no model code."""

import numpy as np

from services.inference.adapters.attribute_program import AttributeProgram
from services.inference.adapters.program import Program, Row, weights_of
from services.inference.domain.prediction import (
    Attribution,
    Flags,
    Floats,
    ModelFacts,
    Outputs,
)
from shared.errors import FailedPreconditionError
from shared.registry import ModelVersion

BUCKETS = (64,)
"""Batch sizes compiled before the first request.

XLA vectorises each batch size otherwise, so the same row differs in its last digits from one size
to another. With one size a user's prediction is the same bits asked alone or in a batch; 64 rows
cost a lone request about 0.1 ms and give a batch two thirds of the rate of 4,096.
"""

SEGMENT_COUNT = 4


class ModelRunner:
    """A loaded model version, safe to use from many threads.

    Args:
        version: From the registry; its files are checked as they are read.
        buckets: Batch sizes to compile and warm before this returns, powers of two.

    Raises:
        FailedPreconditionError: It does not answer for users, or its files are damaged.
    """

    def __init__(self, version: ModelVersion, buckets: tuple[int, ...] = BUCKETS) -> None:
        _require_users(version)
        self.facts = ModelFacts.of(version.name, version.manifest)
        weights = weights_of(version)
        features = Row((len(self.facts.features),), np.float32)
        eligible = Row((), np.bool_)
        self._predict = Program(
            version,
            "predict.jaxexport",
            weights,
            [features, eligible],
            {
                "active_probability": (),
                "churn_probability": (),
                "expected_value": (),
                "segment_probabilities": (SEGMENT_COUNT,),
                "segment": (),
                "value_low": (),
                "value_high": (),
            },
        )
        self._attribute = AttributeProgram(version, weights, features, buckets)
        for bucket in buckets:
            self._predict.prepare(bucket)

    def predict(self, features: Floats, eligible: Flags) -> Outputs:
        """Run `predict` over [row, feature]; NaN where a value is missing."""
        return Outputs(**self._predict.run(features, eligible))

    def attribute(self, features: Floats) -> Attribution:
        """Run `attribute` over [row, feature]; NaN where a value is missing."""
        return self._attribute.run(features)


def _require_users(version: ModelVersion) -> None:
    kind = version.manifest.get("kind", "users")
    if kind != "users":
        raise FailedPreconditionError(
            f"{version.name} answers for {kind}, and here users are asked about; name a model of "
            "users, or run its program predict.jaxexport",
            reason="MODEL_NOT_FOR_USERS",
            version=version.name,
            kind=kind,
        )
