"""A channel on which every call has a deadline and fails with our own errors."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc

from shared.rpc._server import MESSAGE_BYTES
from shared.rpc.errors import rebuild

UNARY_SECONDS = 120.0
"""Deadline of a call for which the caller gave none."""

STREAM_SECONDS = 24 * 3600.0
"""Deadline of a watch for which the caller gave none."""


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
    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        call = continuation(_with_deadline(client_call_details, UNARY_SECONDS), request)
        error = call.exception()
        if error is not None:
            _raise(error)
        return call

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        call = continuation(_with_deadline(client_call_details, STREAM_SECONDS), request)
        return _Stream(call)


class _Stream:
    """The answers of a stream; `cancel` ends it early."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            _raise(error)

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
        ],
    )
    return grpc.intercept_channel(plain, _Interceptor())


def _with_deadline(details: Any, seconds: float) -> _Details:
    return _Details(
        details.method,
        seconds if details.timeout is None else details.timeout,
        details.metadata,
        details.credentials,
        details.wait_for_ready,
        details.compression,
    )


def _raise(error: Any) -> None:
    ours = rebuild(error)
    if ours is None:
        raise error
    raise ours from error
