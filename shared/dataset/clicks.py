"""Datasets of clicks with what may have come next, on disk: Arrow shards and a manifest."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.dataset.manifest import FORMAT_VERSION, read_values
from shared.dataset.staging import Staging, read_batches

KIND = "clicks"
NONE = -1
"""Stands where a click has fewer candidates than there are places, or was none of them."""


@dataclass(frozen=True)
class ClickRows:
    """Clicks that are asked about, each with the items that may come next.

    Attributes:
        sessions: int32 [row], number of the session, in the order of the sessions' time.
        positions: int32 [row], how many clicks came before it in its session.
        items: int32 [row, candidate], places in the manifest's list of items, or `NONE`.
        is_own: bool [row, candidate], whether it was clicked on before in this session.
        features: float16 [row, candidate, feature].
        answers: int32 [row], place among the candidates of what was clicked on, or `NONE`.
        rule_places: int32 [row, rule], where plain rules put what was clicked on, from 1; 0 where
            their first twenty lack it.
    """

    sessions: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    is_own: npt.NDArray[np.bool_]
    features: npt.NDArray[np.float16]
    answers: npt.NDArray[np.int32]
    rule_places: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.sessions)

    def rows(self, chosen: Any) -> "ClickRows":
        """Return some of the rows."""
        return ClickRows(*(getattr(self, name)[chosen] for name in _COLUMNS))


_COLUMNS = tuple(field.name for field in fields(ClickRows))


@dataclass(frozen=True)
class ClickBlock:
    """Sessions that follow one another; what is known of their items is from before all of them.

    Attributes:
        first_session: Number of its first session.
        end_session: Number after that of its last session.
        row_count: Clicks of these sessions that are asked about.
    """

    first_session: int
    end_session: int
    row_count: int


@dataclass(frozen=True, kw_only=True)
class ClickManifest:
    """What a dataset of clicks holds and what it was made of."""

    name: str
    purpose: str
    predictions: tuple[str, ...]
    features: tuple[str, ...]
    rules: tuple[str, ...]
    items: tuple[str, ...]
    """Names of the items."""
    first_sessions: tuple[int, ...]
    """Number of the session in which each was first clicked on."""
    candidate_count: int
    blocks: tuple[ClickBlock, ...]
    """In the order of time; the last is the one to judge on."""
    test: ClickBlock | None
    """Sessions of files that are judged on only."""
    test_sessions: tuple[str, ...]
    """Names of these sessions."""
    session_count: int
    row_count: int
    content_hash: str
    shards: tuple[str, ...]
    source_files: Mapping[str, str]
    """SHA-256 of each file that was read, by its name."""
    kind: str = KIND
    format_version: int = FORMAT_VERSION


class ClickDatasetReader:
    """The rows and the manifest of one dataset of clicks.

    Args:
        folder: What `Dataset.uri` names.

    Raises:
        FailedPreconditionError: There is no dataset of clicks, or one of another format.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._manifest = _manifest(read_values(self._folder, KIND))

    @property
    def manifest(self) -> ClickManifest:
        """What the dataset says of itself."""
        return self._manifest

    def rows(self) -> ClickRows:
        """Return all rows."""
        manifest = self._manifest
        batches = read_batches(self._folder, manifest.shards)
        return joined([self._from_arrow(batch) for batch in batches])

    def _from_arrow(self, batch: pa.RecordBatch) -> ClickRows:
        rest = {
            "items": (self._manifest.candidate_count,),
            "is_own": (self._manifest.candidate_count,),
            "features": (self._manifest.candidate_count, len(self._manifest.features)),
            "rule_places": (len(self._manifest.rules),),
        }

        def values(name: str) -> Any:
            column = batch.column(name)
            if name not in rest:
                return column.to_numpy()
            flat = column.flatten().to_numpy(zero_copy_only=False)
            return flat.reshape(len(batch), *rest[name])

        return ClickRows(*map(values, _COLUMNS))


def joined(blocks: list[ClickRows]) -> ClickRows:
    """Return the rows of at least one block, one block after the other."""
    return ClickRows(
        *(np.concatenate([getattr(block, name) for block in blocks]) for name in _COLUMNS)
    )


def write_clicks(
    folder: Path,
    blocks: Iterable[ClickRows],
    *,
    name: str,
    predictions: tuple[str, ...],
    features: tuple[str, ...],
    rules: tuple[str, ...],
    items: tuple[str, ...],
    first_sessions: tuple[int, ...],
    candidate_count: int,
    spans: tuple[ClickBlock, ...],
    test: ClickBlock | None,
    test_sessions: tuple[str, ...],
    source_files: Mapping[str, str],
) -> ClickManifest:
    """Write a dataset that is there whole or not at all; one that is there is replaced.

    Args:
        folder: Where the dataset shall be.
        blocks: What it holds; each becomes a shard, so that only one is in memory.
        name: datasets/{dataset}
        predictions: Names of the predictions it serves.
        features: Names of what is known of a click and a candidate.
        rules: Names of the plain rules.
        items: Names of the items.
        first_sessions: Number of the session in which each item was first clicked on.
        candidate_count: Places for candidates a row.
        spans: Which sessions the rows are of; the last are judged on.
        test: Sessions of files that are judged on only.
        test_sessions: Names of these sessions.
        source_files: SHA-256 of each file that was read.
    """
    whole = hashlib.sha256(json.dumps([features, rules, items, candidate_count]).encode())
    row_count = 0
    with Staging(folder) as staging:
        for block in blocks:
            for column in _COLUMNS:
                values = np.ascontiguousarray(getattr(block, column))
                whole.update(hashlib.sha256(values.view(np.uint8).reshape(-1).data).digest())
            staging.write(_to_arrow(block))
            row_count += len(block)
        manifest = ClickManifest(
            name=name,
            purpose="training",
            predictions=predictions,
            features=features,
            rules=rules,
            items=items,
            first_sessions=first_sessions,
            candidate_count=candidate_count,
            blocks=spans,
            test=test,
            test_sessions=test_sessions,
            session_count=(test or spans[-1]).end_session,
            row_count=row_count,
            content_hash=whole.hexdigest(),
            shards=staging.shards,
            source_files=source_files,
        )
        staging.finish(manifest)
    return manifest


def _to_arrow(block: ClickRows) -> pa.RecordBatch:
    def column(values: npt.NDArray[Any]) -> pa.Array:
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        if values.ndim == 1:
            return flat
        return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))

    return pa.record_batch({name: column(getattr(block, name)) for name in _COLUMNS})


def _manifest(values: Mapping[str, Any]) -> ClickManifest:
    tuples = ("predictions", "features", "rules", "items", "first_sessions", "test_sessions")
    return ClickManifest(
        **{
            **values,
            **{name: tuple(values[name]) for name in (*tuples, "shards")},
            "blocks": tuple(ClickBlock(**each) for each in values["blocks"]),
            "test": values["test"] and ClickBlock(**values["test"]),
        }
    )
