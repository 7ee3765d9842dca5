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

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Block:
    """Rows ordered by user and instant, with the instant as its place in the spine."""

    user_keys: npt.NDArray[np.uint64]
    indices: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    spend_micros: npt.NDArray[np.int64] | None
    wait_days: npt.NDArray[np.float32] | None = None
    """Until the event that is waited for; NaN when it does not come within the horizon."""


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
    assert labels.spend_micros is not None
    found: npt.NDArray[np.int64] = _looked_up(
        block, labels.user_keys, labels.indices, labels.spend_micros, 0, instant_count
    )
    return found


def waits_of(
    block: Block, batches: Iterable[pa.RecordBatch], instant_count: int
) -> npt.NDArray[np.float32]:
    """Return the days that each row waited; NaN for those for whom nothing came.

    Args:
        block: Ordered rows.
        batches: user_key, as_of_index and wait_ms, in no order, each pair at most once.
        instant_count: Instants of the spine.
    """
    parts = [batch for batch in batches if batch.num_rows]
    keys = _column(parts, "user_key", np.uint64)
    indices = _column(parts, "as_of_index", np.uint16).astype(np.int64)
    days = _column(parts, "wait_ms", np.int64) / _DAY_MS
    order = np.lexsort((indices, keys))
    days = days[order].astype(np.float32)
    found: npt.NDArray[np.float32] = _looked_up(
        block, keys[order], indices[order], days, np.nan, instant_count
    )
    return found


def _looked_up(
    block: Block,
    keys: npt.NDArray[np.uint64],
    indices: npt.NDArray[np.int64],
    values: Any,
    otherwise: float,
    instant_count: int,
) -> Any:
    """Return the value of each row among values by key and instant, in order."""
    users = np.union1d(block.user_keys, keys)
    wanted = np.searchsorted(users, block.user_keys) * instant_count + block.indices
    there = np.searchsorted(users, keys) * instant_count + indices
    found = np.full(len(wanted), otherwise, values.dtype)
    if len(there):
        places = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
        is_found = there[places] == wanted
        found[is_found] = values[places[is_found]]
    return found


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
    spend, waits = block.spend_micros, block.wait_days
    happened = ~np.isnan(waits) if waits is not None else None if spend is None else spend > 0
    return DatasetArrays(
        block.user_keys,
        times[block.indices],
        is_eligible,
        block.features,
        None if happened is None else happened.astype(np.uint8),
        spend,
        waits,
    )


def _column(parts: Sequence[pa.RecordBatch], name: str, dtype: type) -> Any:
    if not parts:
        return np.empty(0, dtype)
    return np.concatenate([part.column(name).to_numpy() for part in parts])
