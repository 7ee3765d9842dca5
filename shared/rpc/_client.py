"""A channel on which every call has a deadline and fails with our own errors."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

import grpc

from shared.errors import UnavailableError
from shared.rpc._server import MESSAGE_BYTES
from shared.rpc.errors import is_of_transport, rebuild

UNARY_SECONDS = 120.0
"""Deadline of a call for which the caller gave none."""

STREAM_SECONDS = 24 * 3600.0
"""Deadline of a watch for which the caller gave none."""

# Left alone, gRPC waits up to two minutes before it looks again for a server that was away.
_RECONNECT_MILLISECONDS = 200


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any


class _Interceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
):
    def __init__(self, address: str) -> None:
        self._address = address

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        call = continuation(_with_deadline(client_call_details, UNARY_SECONDS), request)
        error = call.exception()
        if error is not None:
            _raise(error, client_call_details.method, self._address)
        return call

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        call = continuation(_with_deadline(client_call_details, STREAM_SECONDS), request)
        return _Stream(call, client_call_details.method, self._address)


class _Stream:
    """The answers of a stream; `cancel` ends it early."""

    def __init__(self, call: Any, method: str, address: str) -> None:
        self._call, self._method, self._address = call, method, address

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            _raise(error, self._method, self._address)

    def cancel(self) -> None:
        self._call.cancel()


def connect(address: str) -> grpc.Channel:
    """Return a channel; it connects when it is first used.

    Calls raise `shared.errors.DomainError` for what our servers refuse and `grpc.RpcError` for
    their bugs.
    """
    plain = grpc.insecure_channel(
        address,
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.enable_http_proxy", 0),
            ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MILLISECONDS),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT_MILLISECONDS),
        ],
    )
    return grpc.intercept_channel(plain, _Interceptor(address))


def _with_deadline(details: Any, seconds: float) -> _Details:
    return _Details(
        details.method,
        seconds if details.timeout is None else details.timeout,
        details.metadata,
        details.credentials,
        details.wait_for_ready,
        details.compression,
    )


def _raise(error: Any, method: str, address: str) -> NoReturn:
    if is_of_transport(error):
        service = method.split("/")[1]
        raise UnavailableError(
            f"{_who(service)} at {address} cannot be reached, or went away; "
            "check that it runs, then try again",
            reason="SERVICE_UNREACHABLE",
            service=service,
            address=address,
        ) from error
    ours = rebuild(error)
    if ours is None:
        raise error
    raise ours from error


def _who(service: str) -> str:
    """Return what people call a service.

    >>> _who("oriel.feature.v1.FeatureService"), _who("grpc.health.v1.Health")
    ('the feature service', 'the server')
    """
    package, *rest = service.split(".")
    return f"the {rest[0]} service" if package == "oriel" else "the server"
