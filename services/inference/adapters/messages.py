"""Predictions, versions and batches as messages, and rows of features out of them."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from oriel.common.v1 import common_pb2
from oriel.inference.v1 import inference_pb2 as pb
from services.inference.domain.prediction import Floats, Prediction
from shared.errors import InvalidArgumentError
from shared.jobs import Job
from shared.jobs.messages import progress_message, state_message, status_message, time_message
from shared.registry import ModelVersion

_PAGE_SIZE = 50


def features_of(tensor: common_pb2.Tensor) -> Floats:
    """Return the rows of a tensor.

    Raises:
        InvalidArgumentError: It is not float32, not two-dimensional, or its size is wrong.
    """
    if tensor.dtype != "float32":
        raise InvalidArgumentError(
            f"features.dtype is {tensor.dtype!r}; send 'float32' in little-endian order.",
            reason="FEATURES_DTYPE",
            dtype=tensor.dtype,
        )
    shape = tuple(tensor.shape)
    wanted = 4 * int(np.prod(shape, dtype=object)) if shape else 0
    if len(shape) != 2 or min(shape) < 0 or wanted != len(tensor.data):
        raise InvalidArgumentError(
            f"features has {len(tensor.data)} bytes and shape {list(shape)}; send [rows, features] "
            "and 4 bytes for each value.",
            reason="FEATURES_SHAPE",
            byte_count=len(tensor.data),
            shape=list(shape),
        )
    return np.frombuffer(tensor.data, "<f4").astype(np.float32, copy=False).reshape(shape)


def prediction_message(prediction: Prediction) -> pb.Prediction:
    """Return a prediction as a message."""
    return pb.Prediction(
        user_key=prediction.user_key,
        status=pb.PredictionStatus.Value(f"PREDICTION_STATUS_{prediction.status.name}"),
        ineligible_reason=prediction.ineligible_reason,
        active_probability=prediction.active_probability,
        churn_probability=prediction.churn_probability,
        expected_value_micros=prediction.expected_value_micros,
        segment_probabilities=prediction.segment_probabilities,
        segment=prediction.segment,
        value_low_micros=prediction.value_low_micros,
        value_high_micros=prediction.value_high_micros,
        reasons=[
            pb.Reason(feature=reason.feature, text=reason.text, contribution=reason.contribution)
            for reason in prediction.reasons
        ],
    )


def version_message(version: ModelVersion) -> pb.ModelVersion:
    """Return a model version as a message."""
    manifest = version.manifest
    return pb.ModelVersion(
        name=version.name,
        aliases=version.aliases,
        dataset_hash=manifest.get("dataset_hash", ""),
        feature_set_version=manifest.get("feature_set_version", ""),
        features=manifest.get("features", ()),
        uri=version.uri,
    )


def batch_message(job: Job) -> pb.BatchPrediction:
    """Return a batch prediction as a message."""
    as_of = job.result.get("as_of")
    return pb.BatchPrediction(
        name=job.name,
        model_version=job.result.get("model_version", ""),
        dataset=job.request["dataset"],
        state=state_message(job),
        progress=progress_message(job),
        error=status_message(job),
        prediction_count=job.result.get("prediction_count", 0),
        uri=job.result.get("uri", ""),
        as_of_time=time_message(datetime.fromisoformat(as_of) if as_of else None),
        create_time=time_message(job.create_time),
        end_time=time_message(job.end_time),
    )


def page_of(
    versions: Sequence[ModelVersion], page_size: int, page_token: str
) -> tuple[Sequence[ModelVersion], str]:
    """Return a page of versions and the token of the next; a token is the last name given."""
    names = [version.name for version in versions]
    if page_token and page_token not in names:
        raise InvalidArgumentError(
            "page_token is not from an earlier page; leave it empty to start over.",
            reason="BAD_PAGE_TOKEN",
        )
    start = names.index(page_token) + 1 if page_token else 0
    page = versions[start : start + (page_size if page_size > 0 else _PAGE_SIZE)]
    has_more = start + len(page) < len(versions)
    return page, page[-1].name if has_more and page else ""
