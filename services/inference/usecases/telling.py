"""Reasons of rows, as words and as text."""

from collections.abc import Sequence

import numpy as np
import orjson

from services.inference.domain.prediction import Flags, Floats, Reason
from services.inference.domain.reasons import Wording, strongest
from services.inference.usecases.ports import Explaining


def reasons_of(
    model: Explaining, rows: Floats, wanted: Flags, wording: Wording
) -> list[tuple[Reason, ...]]:
    """Return the strongest reasons of the rows wanted, and none of the others."""
    reasons: list[tuple[Reason, ...]] = [()] * len(rows)
    places = np.flatnonzero(wanted)
    if len(places):
        contributions = model.attribute(rows[places]).contributions
        found = strongest(contributions, rows[places], model.facts.features, wording)
        for place, of_row in zip(places, found, strict=True):
            reasons[place] = of_row
    return reasons


def as_json(reasons: Sequence[Reason]) -> str:
    """Return reasons as files and tables hold them."""
    return orjson.dumps(
        [
            {
                "feature": reason.feature,
                "text": reason.text,
                # Nine digits hold every float32.
                "contribution": float(f"{reason.contribution:.9g}"),
            }
            for reason in reasons
        ]
    ).decode()
