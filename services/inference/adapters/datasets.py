"""Scoring datasets: found through the feature service, read from their shards."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from oriel.feature.v1 import feature_pb2
from services.inference.domain.snapshot import FeatureSnapshot, ordered
from shared.dataset import DatasetReader
from shared.dataset.finished import FinishedDatasets
from shared.errors import FailedPreconditionError


class ScoringDatasets:
    """Reads datasets by name.

    Args:
        channel: To the feature service; used at the first read.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._datasets = FinishedDatasets(channel, feature_pb2.DATASET_PURPOSE_SCORING)

    def read(self, name: str) -> FeatureSnapshot:
        """Return the features of a finished scoring dataset, ordered by user.

        Raises:
            NotFoundError: There is no such dataset.
            InvalidArgumentError: It is not for scoring.
            FailedPreconditionError: It is not finished.
        """
        return snapshot_of(name, self.folder(name))

    def folder(self, name: str) -> Path:
        """Return where a finished scoring dataset lies, whatever its rows are of.

        Raises:
            NotFoundError: There is no such dataset.
            InvalidArgumentError: It is not for scoring.
            FailedPreconditionError: It is not finished.
        """
        return self._datasets.find(name).folder


def snapshot_of(name: str, folder: Path) -> FeatureSnapshot:
    """Return the rows of a scoring dataset's folder, the matrix read in place where it can be.

    Raises:
        FailedPreconditionError: The folder is gone or damaged, or has several as_ofs.
    """
    reader = DatasetReader(folder)
    manifest = reader.manifest
    if len(manifest.as_ofs) != 1:
        raise FailedPreconditionError(
            f"{name} has {len(manifest.as_ofs)} as_ofs; a scoring dataset has one.",
            reason="DATASET_NOT_FOR_SCORING",
            name=name,
            as_of_count=len(manifest.as_ofs),
        )
    blocks = [block for block in reader.batches() if len(block)]
    width = len(manifest.features)
    return ordered(
        FeatureSnapshot(
            dataset=name,
            content_hash=manifest.content_hash,
            as_of=manifest.as_ofs[0],
            known_at=manifest.known_at,
            feature_set_version=manifest.feature_set_version,
            eligible_rule=manifest.eligible_rule,
            features=manifest.feature_names,
            user_keys=_joined([block.user_keys for block in blocks], np.uint64, ()),
            eligible=_joined([block.eligible for block in blocks], np.bool_, ()),
            values=_joined([block.features for block in blocks], np.float32, (width,)),
        )
    )


def _joined(parts: list[NDArray[Any]], dtype: Any, row: tuple[int, ...]) -> NDArray[Any]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros((0, *row), dtype)
