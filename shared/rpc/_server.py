"""A gRPC server on a bounded thread pool."""

import ipaddress
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from shared.errors import FailedPreconditionError, InvalidArgumentError
from shared.rpc._around import AroundInterceptor, observed, with_errors

MESSAGE_BYTES = 16 * 1024 * 1024
"""Largest message either way: 100,000 source ids, or 64 MB of features in four messages."""

MAXIMUM_CONCURRENT_RPCS = 64
"""Calls answered at once; one more is refused with RESOURCE_EXHAUSTED rather than queued."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """A composed service, ready to be served."""

    full_name: str
    """Proto package and service, e.g. "oriel.feature.v1.FeatureService"."""
    register: Callable[[grpc.Server], None]
    """Adds the servicer to a server."""
    close: Callable[[float], None]
    """Stops its work within a grace in seconds."""


class RunningServer:
    """A server that answers; stops as a context manager does."""

    def __init__(
        self,
        server: grpc.Server,
        address: str,
        services: Sequence[Service],
        health_service: health.HealthServicer,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._server, self._services = server, services
        self._health, self._pool = health_service, pool
        self.address = address
        """Where it listens, as host:port."""

    def set_ready(self, *, is_ready: bool = True) -> None:
        """Tell health checks whether every service can answer."""
        states = health_pb2.HealthCheckResponse
        state = states.SERVING if is_ready else states.NOT_SERVING
        for name in ("", *(service.full_name for service in self._services)):
            self._health.set(name, state)

    def stop(self, grace: float = 5.0) -> None:
        """Stop in order: health NOT_SERVING, no new calls, grace for open ones, services closed."""
        self._health.enter_graceful_shutdown()
        stopped = self._server.stop(grace)
        for service in self._services:
            service.close(grace)  # ends watched work, and with it the calls that watch
        stopped.wait(grace + 1.0)
        # Not for ever: a handler may wait for a query that only the closing warehouse ends.
        ending = threading.Thread(target=self._pool.shutdown, daemon=True)
        ending.start()
        ending.join(grace + 1.0)

    def wait(self) -> None:
        """Block until the server has stopped."""
        self._server.wait_for_termination()

    def __enter__(self) -> "RunningServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def serve(
    services: Sequence[Service],
    address: str,
    *,
    is_ready: bool = True,
    maximum_concurrent_rpcs: int = MAXIMUM_CONCURRENT_RPCS,
    allow_remote: bool = False,
) -> RunningServer:
    """Start to serve.

    Args:
        services: What to serve; health and reflection come with them.
        address: host:port; port 0 takes a free one.
        is_ready: Whether health says SERVING at once; else after `set_ready`.
        maximum_concurrent_rpcs: Calls answered at once.
        allow_remote: Whether the host may be reached from other machines.

    Raises:
        InvalidArgumentError: The host is not loopback and that was not allowed.
        FailedPreconditionError: The address is taken.
    """
    host = address.rpartition(":")[0]
    if not allow_remote and not _is_loopback(host):
        raise InvalidArgumentError(
            f"{host!r} can be reached from other machines, and calls are neither encrypted nor "
            "authenticated; use 127.0.0.1, or allow it by naming the address in ORIEL_LISTEN",
            reason="NOT_LOOPBACK",
            host=host,
        )
    # As many threads as calls, so that a call let in never waits for one that waits for it.
    pool = ThreadPoolExecutor(maximum_concurrent_rpcs, thread_name_prefix="rpc")
    server = grpc.server(
        pool,
        interceptors=[AroundInterceptor(observed), AroundInterceptor(with_errors)],
        maximum_concurrent_rpcs=maximum_concurrent_rpcs,
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ],
    )
    health_service = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    for service in services:
        service.register(server)
        health_service.set(service.full_name, health_pb2.HealthCheckResponse.NOT_SERVING)
    health_service.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    names = [service.full_name for service in services]
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise FailedPreconditionError(
            f"cannot listen on {address}: another program may hold the port; choose another",
            reason="ADDRESS_TAKEN",
            address=address,
        ) from error
    server.start()
    running = RunningServer(server, f"{host}:{port}", services, health_service, pool)
    if is_ready:
        running.set_ready()
    _LOG.info("serving", extra={"address": running.address, "services": names})
    return running


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
