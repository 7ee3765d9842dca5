"""Asks a server whether it can answer."""

from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.errors import UnavailableError
from shared.rpc._client import connect

_SECONDS = 5.0


def require_serving(address: str) -> None:
    """Ask the server at an address for its health.

    Raises:
        UnavailableError: It cannot be reached, or says that it cannot answer yet.
    """
    with connect(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise UnavailableError(
            f"the server at {address} is not ready yet; its log says what it waits for",
            reason="SERVICE_NOT_READY",
            address=address,
        )
