"""Turns the rows of compiled statements into the rows of a dataset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.config.prediction import Eligibility
from shared.dataset import DatasetArrays
from shared.features.calendar import Instant


@dataclass(frozen=True)
class Block:
    """Rows ordered by user and instant, with the instant as its place in the spine."""

    user_keys: npt.NDArray[np.uint64]
    indices: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    spend_micros: npt.NDArray[np.int64] | None


def collect(batches: Iterable[pa.RecordBatch], names: Sequence[str], *, has_label: bool) -> Block:
    """Read all rows and put them in order.

    Args:
        batches: user_key, as_of_index, the features, and spend_micros with labels.
        names: Features, in the order of the matrix.
        has_label: Whether spend_micros is there.
    """
    parts = [batch for batch in batches if batch.num_rows]
    keys = _column(parts, "user_key", np.uint64)
    indices = _column(parts, "as_of_index", np.uint16).astype(np.int64)
    order = _order(keys, indices)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    matrix = np.empty((len(keys), len(names)), np.float32)
    start = 0
    for part in parts if names else ():
        target = place[start : start + part.num_rows]
        start += part.num_rows
        matrix[target] = np.stack([part.column(name).to_numpy() for name in names], axis=1)
    spend = _column(parts, "spend_micros", np.int64)[order] if has_label else None
    return Block(keys[order], indices[order], matrix, spend)


def _order(keys: npt.NDArray[np.uint64], indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows by user and instant.

    The engine gives a user's neighbouring instants in a row, so whole runs are put in order.
    """
    starts = np.flatnonzero(
        np.concatenate([[True], (keys[1:] != keys[:-1]) | (indices[1:] != indices[:-1] + 1)])[
            : len(keys)
        ]
    )
    runs = np.lexsort((indices[starts], keys[starts]))
    lengths = np.diff(np.append(starts, len(keys)))[runs]
    ends = np.cumsum(lengths)
    steps = np.arange(len(keys)) - np.repeat(ends - lengths, lengths)
    order: npt.NDArray[np.int64] = np.repeat(starts[runs], lengths) + steps
    return order


def spend_of(block: Block, labels: Block, instant_count: int) -> npt.NDArray[np.int64]:
    """Look the label of each row up among rows computed apart; without one it is 0."""
    users = np.union1d(block.user_keys, labels.user_keys)
    wanted = np.searchsorted(users, block.user_keys) * instant_count + block.indices
    there = np.searchsorted(users, labels.user_keys) * instant_count + labels.indices
    assert labels.spend_micros is not None
    spend = np.zeros(len(wanted), np.int64)
    if len(there):
        places = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
        is_found = there[places] == wanted
        spend[is_found] = labels.spend_micros[places[is_found]]
    return spend


def dataset_rows(
    block: Block,
    instants: Sequence[Instant],
    eligible: Eligibility,
    names: Sequence[str],
) -> DatasetArrays:
    """Return rows as a dataset holds them.

    Args:
        block: Ordered rows.
        instants: The spine.
        eligible: Conditions on columns of the matrix.
        names: Features, in the order of the matrix.
    """
    is_eligible = np.ones(len(block.user_keys), np.bool_)
    for condition in eligible.conditions:
        is_eligible &= condition.holds(block.features[:, names.index(condition.feature)])
    times = np.array([instant.time_ms for instant in instants], "datetime64[ms]")
    spend = block.spend_micros
    return DatasetArrays(
        block.user_keys,
        times[block.indices],
        is_eligible,
        block.features,
        None if spend is None else (spend > 0).astype(np.uint8),
        spend,
    )


def _column(parts: Sequence[pa.RecordBatch], name: str, dtype: type) -> Any:
    if not parts:
        return np.empty(0, dtype)
    return np.concatenate([part.column(name).to_numpy() for part in parts])
