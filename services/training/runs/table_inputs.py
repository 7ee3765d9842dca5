"""Cells of a table to numbers a model reads: ranks of numbers, a column for each word."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtri

from shared.dataset.tables import TableColumn, TableRows
from shared.errors import FailedPreconditionError

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

LEAST_ROWS_OF_A_WORD = 10
"""Rarer words are not told apart: too little is known of them."""

_KNOTS = 65


@dataclass(frozen=True)
class TableScaling:
    """Which numbers bring the cells of a row to a model's inputs.

    Inputs are the numbers and flags, a 0/1 column for each of them that may be missing, and a 0/1
    column for each word of each category, its missing word first. What was seen too rarely among
    the rows this was fitted on has zeros.

    Attributes:
        knots: float32 [number, knot], ascending values of each number.
        places: float32 [number, knot], what each value becomes: its rank as a normal deviate.
        words: int32 [category, word + 2], the input that each word sets to 1, or -1; first that of
            no word, last that of a word that is not in the list.
        width: How many inputs there are.
    """

    knots: NumpyArray
    places: NumpyArray
    words: NumpyArray
    width: int

    @property
    def weights(self) -> Mapping[str, NumpyArray]:
        """The arrays by name, for the program."""
        return {
            "inputs/knots": self.knots,
            "inputs/places": self.places,
            "inputs/words": self.words,
        }


def fit_table_scaling(rows: TableRows, columns: tuple[TableColumn, ...]) -> TableScaling:
    """Fit on these rows and nothing else.

    The number of inputs follows from the columns alone, so that all parts of a cross-validation
    share one compiled program.
    """
    count = rows.numbers.shape[1]
    fitted = [_ranks(rows.numbers[:, place]) for place in range(count)]
    knots, places = np.zeros((count, _KNOTS)), np.zeros((count, _KNOTS))
    for place, (values, ranks) in enumerate(fitted):
        knots[place], places[place] = values, ranks
    categories = [column for column in columns if column.kind == "category"]
    longest = max((len(column.values) for column in categories), default=0)
    words = np.full((len(categories), longest + 2), -1, np.int32)
    start = 2 * count
    for number, column in enumerate(categories):
        seen = np.bincount(rows.codes[:, number] + 1, minlength=len(column.values) + 1)
        known = np.flatnonzero(seen >= LEAST_ROWS_OF_A_WORD)
        words[number, known] = start + known
        start += len(column.values) + 1
    return TableScaling(knots.astype(np.float32), places.astype(np.float32), words, start)


def table_inputs(weights: Mapping[str, Any], numbers: Array, words: Array, width: int) -> Array:
    """Cells to a model's inputs.

    Args:
        weights: Those of a `TableScaling`.
        numbers: float32 [row, number]; NaN is missing.
        words: int32 [row, category], places of words; -1 is missing.
        width: Of the inputs.
    """
    known = _ranked(weights, numbers)
    if not words.shape[1]:
        return known
    inputs = jnp.arange(2 * numbers.shape[1], width, dtype=jnp.int32)
    one_hot = (_word_inputs(weights, words)[:, :, None] == inputs[None, None, :]).any(axis=1)
    return jnp.concatenate([known, one_hot.astype(jnp.float32)], axis=1)


def tree_inputs(weights: Mapping[str, Any], numbers: Array, words: Array) -> Array:
    """Cells to what trees are grown on: a number for each category, which they cut up themselves.

    A column for each word would be asked for too rarely where each node sees a part of them only.

    Args:
        weights: Those of a `TableScaling`.
        numbers: As in `table_inputs`.
        words: As in `table_inputs`.
    """
    known = _ranked(weights, numbers)
    if not words.shape[1]:
        return known
    return jnp.concatenate([known, _word_inputs(weights, words).astype(jnp.float32)], axis=1)


def require_fitted_on(
    used: TableScaling, train: TableRows, columns: tuple[TableColumn, ...]
) -> None:
    """Refuse numbers and words that other rows than these have had a part in.

    Raises:
        FailedPreconditionError: Names the first column that was fitted on rows that judge.
    """
    honest = fit_table_scaling(train, columns)
    ordered = [column for column in columns if column.kind != "category"]
    ordered += [column for column in columns if column.kind == "category"]
    leaks = [
        not (
            np.array_equal(used.knots[n], honest.knots[n])
            and np.array_equal(used.places[n], honest.places[n])
        )
        for n in range(len(honest.knots))
    ] + [not np.array_equal(used.words[n], honest.words[n]) for n in range(len(honest.words))]
    for column, is_leaking in zip(ordered, leaks, strict=True):
        if is_leaking:
            what = "words" if column.kind == "category" else "scaling"
            raise FailedPreconditionError(
                f"the {what} of column {column.name} was fitted on rows that it is judged on; "
                "fit it on the training rows of the fold alone",
                reason="FITTED_ON_HELD_OUT_ROWS",
                column=column.name,
            )


def _ranked(weights: Mapping[str, Any], numbers: Array) -> Array:
    """Ranks of numbers, then whether each is missing."""
    is_missing = ~jnp.isfinite(numbers)
    known = jnp.where(is_missing, 0.0, numbers)
    ranked = (
        jax.vmap(jnp.interp, in_axes=(1, 0, 0), out_axes=1)(
            known, weights["inputs/knots"], weights["inputs/places"]
        )
        if numbers.shape[1]
        else known
    )
    ranked = jnp.where(is_missing, 0.0, ranked)
    return jnp.concatenate([ranked, is_missing.astype(jnp.float32)], axis=1)


def _word_inputs(weights: Mapping[str, Any], words: Array) -> Array:
    """int32 [row, category], the input that each word sets to 1, or -1."""
    table = weights["inputs/words"]
    # A place past the list is a word that nobody knows, like the last of the list.
    last = table.shape[1] - 1
    place = jnp.where(words + 1 > last, last, jnp.maximum(words + 1, 0))
    return jnp.take_along_axis(table[None, :, :], place[:, :, None], axis=2)[:, :, 0]


def _ranks(values: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
    """Knots of the map from a value to its rank among these, as a normal deviate of mean 0."""
    known = np.sort(values[np.isfinite(values)].astype(np.float64))
    if not len(known):
        return np.arange(_KNOTS, dtype=np.float64), np.zeros(_KNOTS)
    distinct, first, count = np.unique(known, return_index=True, return_counts=True)
    deviate = ndtri((first + 0.5 * count) / len(known))
    spread = np.sqrt(np.average((deviate - np.average(deviate, weights=count)) ** 2, weights=count))
    ranks = (deviate - np.average(deviate, weights=count)) / (spread if spread > 1e-6 else 1.0)
    if len(distinct) > _KNOTS:
        # Even in ranks, so that crowded values are told apart; both ends are kept.
        wanted = np.linspace(0, len(known) - 1, _KNOTS)
        chosen = np.searchsorted(first, wanted, side="right") - 1
        chosen[-1] = len(distinct) - 1
        distinct, ranks = distinct[chosen], ranks[chosen]
    short = _KNOTS - len(distinct)
    return np.pad(distinct, (0, short), "edge"), np.pad(ranks, (0, short), "edge")
