"""The ingestion service as the door's store."""

from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from oriel.ingestion.v1 import ingestion_pb2 as pb
from oriel.ingestion.v1 import ingestion_pb2_grpc as rpc
from services.console.usecases.ports import Rejection
from shared.errors import DomainError, UnauthenticatedError, UnavailableError

_CALL_SECONDS = 30.0
_HEALTH_SECONDS = 2.0
_SERVICE = pb.DESCRIPTOR.services_by_name["IngestionService"].full_name


class IngestionService:
    """Stores messages by gRPC."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = rpc.IngestionServiceStub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    def ingest(self, messages: Sequence[bytes], source: str) -> Sequence[Rejection]:
        """See `Ingester.ingest`."""
        request = pb.IngestEventsRequest(events=messages, source=source)
        try:
            done = self._stub.IngestEvents(request, timeout=_CALL_SECONDS)
        except UnauthenticatedError as error:
            # It is the door that was refused, not whoever stands before it.
            raise UnavailableError(
                "the ingestion service does not let this door in; an operator must mend its token",
                reason="DOOR_REFUSED",
            ) from error
        return [Rejection(r.index, r.reason, r.field, r.message) for r in done.rejections]

    def is_serving(self) -> bool:
        """Say whether events can be stored now."""
        request = health_pb2.HealthCheckRequest(service=_SERVICE)
        try:
            answer = self._health.Check(request, timeout=_HEALTH_SECONDS)
        except (DomainError, grpc.RpcError):
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
