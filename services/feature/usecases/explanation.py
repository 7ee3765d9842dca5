"""What a dataset without time would hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.feature.domain.rules import Rule


@dataclass(frozen=True)
class Explanation:
    """A dataset of images or of a table before it is built.

    Attributes:
        row_count: Rows it would hold.
        folds: Rows to fit on and rows to judge on, by the name of the fold.
        features: What a model reads.
        excluded: Columns that it does not, with the reason.
        rules: How the data stands against the least needed.
    """

    row_count: int
    folds: Mapping[str, tuple[int, int]]
    features: tuple[str, ...]
    excluded: Mapping[str, str]
    rules: tuple[Rule, ...]
