"""Jobs in the words of the protos."""

from datetime import datetime

from google.protobuf.any_pb2 import Any
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from oriel.common.v1 import common_pb2
from shared.jobs._job import Job


def state_message(job: Job) -> "common_pb2.State.ValueType":
    """Return where the job stands."""
    return common_pb2.State.Value(f"STATE_{job.state.name}")


def progress_message(job: Job) -> common_pb2.Progress:
    """Return how far the job has come."""
    return common_pb2.Progress(
        completed_count=job.completed, total_count=job.total, unit=job.unit, message=job.message
    )


def status_message(job: Job) -> Status | None:
    """Return why the job failed, or None."""
    if job.error is None:
        return None
    status = Status(code=job.error.code, message=job.error.message)
    packed = Any()
    packed.Pack(
        ErrorInfo(reason=job.error.reason, domain="oriel", metadata=dict(job.error.metadata))
    )
    status.details.append(packed)
    return status


def time_message(moment: datetime | None) -> Timestamp | None:
    """Return an aware instant as a message; None stays unset."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message
