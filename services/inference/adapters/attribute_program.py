"""The program of a published version that says what pushed its answer up or down."""

from services.inference.adapters.program import Program, Row, Weights
from services.inference.domain.prediction import Attribution, Floats
from shared.registry import ModelVersion


class AttributeProgram:
    """Runs `attribute` over rows of features.

    Args:
        version: Where the program's file is.
        weights: Of the version.
        features: One row of features.
        buckets: Batch sizes to compile and warm.
    """

    def __init__(
        self, version: ModelVersion, weights: Weights, features: Row, buckets: tuple[int, ...]
    ) -> None:
        outputs = {"contributions": features.shape, "logit": (), "baseline_logit": None}
        self._program = Program(version, "attribute.jaxexport", weights, [features], outputs)
        for bucket in buckets:
            self._program.prepare(bucket)

    def run(self, features: Floats) -> Attribution:
        """Return contributions to each row's logit; NaN where a value is missing."""
        outputs = self._program.run(features)
        return Attribution(
            contributions=outputs["contributions"],
            logit=outputs["logit"],
            baseline_logit=float(outputs["baseline_logit"]),
        )
