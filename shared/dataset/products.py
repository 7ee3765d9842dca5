"""Datasets of candidate products on disk: Arrow shards of blocks, and a manifest."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.dataset.manifest import FORMAT_VERSION, read_values
from shared.dataset.staging import Staging, read_batches

KIND = "products"
NONE = -1
"""Stands where a user has fewer candidates than there are places."""


@dataclass(frozen=True)
class ProductRows:
    """Users at instants, each with the products that may come next.

    Attributes:
        user_keys: uint64 [row].
        as_ofs: int64 [row], milliseconds.
        products: int32 [row, candidate], places in the manifest's list of products, or `NONE`.
        is_own: bool [row, candidate], whether the user ordered it before.
        features: float32 [row, candidate, feature].
        is_ordered: bool [row, candidate], whether it was ordered within the horizon.
        ordered: int32 [row], different products ordered within the horizon, candidates or not.
        ordered_new: int32 [row], those of them that the user had never ordered.
    """

    user_keys: npt.NDArray[np.uint64]
    as_ofs: npt.NDArray[np.int64]
    products: npt.NDArray[np.int32]
    is_own: npt.NDArray[np.bool_]
    features: npt.NDArray[np.float32]
    is_ordered: npt.NDArray[np.bool_]
    ordered: npt.NDArray[np.int32]
    ordered_new: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.user_keys)

    def rows(self, chosen: Any) -> "ProductRows":
        """Return some of the rows."""
        return ProductRows(*(getattr(self, name)[chosen] for name in _COLUMNS))


_COLUMNS = (
    "user_keys",
    "as_ofs",
    "products",
    "is_own",
    "features",
    "is_ordered",
    "ordered",
    "ordered_new",
)


@dataclass(frozen=True, kw_only=True)
class ProductManifest:
    """What a dataset of candidate products holds and what it was made of."""

    name: str
    purpose: str
    predictions: tuple[str, ...]
    features: tuple[str, ...]
    products: tuple[str, ...]
    """Ids as they stand in the events."""
    first_sold_ms: tuple[int, ...]
    """When each product was first ordered, by whomever."""
    candidate_count: int
    as_ofs: tuple[datetime, ...]
    known_at: datetime
    horizon_days: int
    time_zone: str
    row_count: int
    content_hash: str
    shards: tuple[str, ...]
    kind: str = KIND
    format_version: int = FORMAT_VERSION


class ProductDatasetReader:
    """The rows and the manifest of one dataset of candidate products.

    Args:
        folder: What `Dataset.uri` names.

    Raises:
        FailedPreconditionError: There is no dataset of products, or one of another format.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._manifest = _manifest(read_values(self._folder, KIND))

    @property
    def manifest(self) -> ProductManifest:
        """What the dataset says of itself."""
        return self._manifest

    def blocks(self) -> Iterator[ProductRows]:
        """Yield all rows in order, shard by shard."""
        for batch in read_batches(self._folder, self._manifest.shards):
            yield self._from_arrow(batch)

    def rows(self) -> ProductRows:
        """Return all rows."""
        return joined(list(self.blocks()))

    def _from_arrow(self, batch: pa.RecordBatch) -> ProductRows:
        shape = (len(batch), self._manifest.candidate_count)

        def matrix(name: str, *rest: int) -> Any:
            values = batch.column(name).flatten().to_numpy(zero_copy_only=False)
            return values.reshape(*shape, *rest)

        return ProductRows(
            batch.column("user_keys").to_numpy(),
            batch.column("as_ofs").to_numpy(),
            matrix("products"),
            matrix("is_own"),
            matrix("features", len(self._manifest.features)),
            matrix("is_ordered"),
            batch.column("ordered").to_numpy(),
            batch.column("ordered_new").to_numpy(),
        )


def joined(blocks: list[ProductRows]) -> ProductRows:
    """Return the rows of at least one block, one block after the other."""
    return ProductRows(
        *(np.concatenate([getattr(block, name) for block in blocks]) for name in _COLUMNS)
    )


def write_products(
    folder: Path,
    blocks: Iterable[ProductRows],
    *,
    name: str,
    purpose: str,
    predictions: tuple[str, ...],
    features: tuple[str, ...],
    products: tuple[str, ...],
    first_sold_ms: tuple[int, ...],
    candidate_count: int,
    as_ofs: tuple[datetime, ...],
    known_at: datetime,
    horizon_days: int,
    time_zone: str,
) -> ProductManifest:
    """Write a dataset that is there whole or not at all; one that is there is replaced.

    Args:
        folder: Where the dataset shall be.
        blocks: What it holds; a block becomes a shard, so that only one is in memory.
        name: datasets/{dataset}
        purpose: "training" or "scoring".
        predictions: Names of the predictions it serves.
        features: Names of the features of a pair of user and product.
        products: Ids of the products.
        first_sold_ms: When each was first ordered, by whomever.
        candidate_count: Places for candidates a row.
        as_ofs: Instants of the rows.
        known_at: What became known later is not in it.
        horizon_days: Length of the label window.
        time_zone: IANA name of the workspace's zone.
    """
    whole = hashlib.sha256(json.dumps([features, products, candidate_count]).encode())
    row_count = 0
    with Staging(folder) as staging:
        for block in blocks:
            for column in _COLUMNS:
                values = np.ascontiguousarray(getattr(block, column))
                whole.update(hashlib.sha256(values.view(np.uint8).reshape(-1).data).digest())
            staging.write(_to_arrow(block))
            row_count += len(block)
        manifest = ProductManifest(
            name=name,
            purpose=purpose,
            predictions=predictions,
            features=features,
            products=products,
            first_sold_ms=first_sold_ms,
            candidate_count=candidate_count,
            as_ofs=as_ofs,
            known_at=known_at,
            horizon_days=horizon_days,
            time_zone=time_zone,
            row_count=row_count,
            content_hash=whole.hexdigest(),
            shards=staging.shards,
        )
        staging.finish(manifest)
    return manifest


def _to_arrow(block: ProductRows) -> pa.RecordBatch:
    def matrix(values: npt.NDArray[Any]) -> pa.FixedSizeListArray:
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))

    columns = {
        name: pa.array(getattr(block, name))
        if getattr(block, name).ndim == 1
        else matrix(getattr(block, name))
        for name in _COLUMNS
    }
    return pa.record_batch(columns)


def _manifest(values: Mapping[str, Any]) -> ProductManifest:
    return ProductManifest(
        name=values["name"],
        purpose=values["purpose"],
        predictions=tuple(values["predictions"]),
        features=tuple(values["features"]),
        products=tuple(values["products"]),
        first_sold_ms=tuple(values["first_sold_ms"]),
        candidate_count=values["candidate_count"],
        as_ofs=tuple(datetime.fromisoformat(text) for text in values["as_ofs"]),
        known_at=datetime.fromisoformat(values["known_at"]),
        horizon_days=values["horizon_days"],
        time_zone=values["time_zone"],
        row_count=values["row_count"],
        content_hash=values["content_hash"],
        shards=tuple(values["shards"]),
    )
