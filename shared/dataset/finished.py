"""Finished datasets, found by name through the feature service."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2, feature_pb2_grpc
from shared.errors import FailedPreconditionError, InvalidArgumentError

_SECONDS = 30.0


@dataclass(frozen=True)
class FoundDataset:
    """Where a dataset lies and what it holds."""

    folder: Path
    content_hash: str
    predictions: tuple[str, ...]


class FinishedDatasets:
    """Finds finished datasets that were made for one purpose.

    Args:
        channel: To the feature service; used at the first call.
        purpose: `DATASET_PURPOSE_TRAINING` or `DATASET_PURPOSE_SCORING`.
    """

    def __init__(
        self, channel: grpc.Channel, purpose: "feature_pb2.DatasetPurpose.ValueType"
    ) -> None:
        self._features = feature_pb2_grpc.FeatureServiceStub(channel)
        self._purpose = purpose

    def find(self, name: str) -> FoundDataset:
        """Return where a dataset lies.

        Raises:
            NotFoundError: There is no such dataset.
            InvalidArgumentError: It was made for another purpose.
            FailedPreconditionError: It is not finished.
        """
        request = feature_pb2.GetDatasetRequest(name=name)
        dataset = self._features.GetDataset(request, timeout=_SECONDS).dataset
        if dataset.purpose != self._purpose:
            wanted = feature_pb2.DatasetPurpose.Name(self._purpose)
            purpose = wanted.removeprefix("DATASET_PURPOSE_")
            raise InvalidArgumentError(
                f"{name} is not a {purpose.lower()} dataset; create one with purpose {purpose}",
                reason=f"DATASET_NOT_FOR_{purpose}",
                name=name,
            )
        if dataset.state != common_pb2.STATE_SUCCEEDED:
            state = common_pb2.State.Name(dataset.state).removeprefix("STATE_")
            raise FailedPreconditionError(
                f"{name} is {state}; wait for it with WatchDataset, or create it again",
                reason="DATASET_NOT_READY",
                name=name,
                state=state,
            )
        folder = Path(dataset.uri).absolute()
        return FoundDataset(folder, dataset.content_hash, tuple(dataset.predictions))
