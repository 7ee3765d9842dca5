"""The least that a table must hold, and columns that tell too much."""

import numpy as np
import numpy.typing as npt

from services.feature.domain.rules import Rule
from services.feature.domain.table_columns import ReadColumn

LEAST_ROWS = 200
LEAST_OF_EACH_ANSWER = 40
LEAST_OF_EACH_ANSWER_IN_A_FOLD = 5
MOST_TOLD_BY_ONE_COLUMN = 0.99
"""AUC of one column alone from which on it is taken to be the answer in other words."""


def table_rules(
    labels: npt.NDArray[np.bool_], folds: npt.NDArray[np.int8], count: int
) -> tuple[Rule, ...]:
    """Measure a table against the least data needed.

    Args:
        labels: Answers of the rows.
        folds: Fold of each row.
        count: Folds there shall be.
    """
    positive = np.bincount(folds, weights=labels, minlength=count)
    negative = np.bincount(folds, weights=~labels, minlength=count)
    return (
        Rule("rows", len(labels), LEAST_ROWS),
        Rule("positive_rows", int(labels.sum()), LEAST_OF_EACH_ANSWER),
        Rule("negative_rows", int((~labels).sum()), LEAST_OF_EACH_ANSWER),
        Rule("positive_rows_of_each_fold", int(positive.min()), LEAST_OF_EACH_ANSWER_IN_A_FOLD),
        Rule("negative_rows_of_each_fold", int(negative.min()), LEAST_OF_EACH_ANSWER_IN_A_FOLD),
    )


def telling(read: tuple[ReadColumn, ...], labels: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Columns that by themselves tell the answer, with how well: known only afterwards, no doubt.

    A word or number is scored by the answers of every other row and judged on the rest, so that a
    column of many words is not taken for one that tells.
    """
    found = {}
    for each in read:
        if each.column.kind != "text":
            how_well = _told(each.cells, labels)
            if how_well >= MOST_TOLD_BY_ONE_COLUMN:
                found[each.column.name] = how_well
    return found


def _told(cells: npt.NDArray[np.generic], labels: npt.NDArray[np.bool_]) -> float:
    """AUC of a column alone: of its order, and of the share of positives in each value."""
    values, codes = np.unique(cells, return_inverse=True)
    half = np.arange(len(cells)) % 2 == 0
    seen = np.bincount(codes[half], minlength=len(values))
    positive = np.bincount(codes[half], weights=labels[half], minlength=len(values))
    rate = labels.mean()
    share = (positive + rate) / (seen + 1.0)
    in_order = _auc(codes.astype(np.float64), labels)
    return max(in_order, 1.0 - in_order, _auc(share[codes[~half]], labels[~half]))


def _auc(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]) -> float:
    _, code, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2.0
    positives = int(labels.sum())
    pairs = positives * (len(labels) - positives)
    if not pairs:
        return 0.5
    return float((rank[code][labels].sum() - positives * (positives + 1) / 2.0) / pairs)
