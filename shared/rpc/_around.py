"""What surrounds every call on the server: log line, metrics, errors."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import grpc
from grpc_status import rpc_status

from shared.errors import DomainError
from shared.obs.metrics import RPC_CALLS, RPC_OPEN, RPC_SECONDS
from shared.rpc.errors import INTERNAL, to_status

_LOG = logging.getLogger("oriel.rpc")

# Health checks come every few seconds for ever; they are counted, not logged.
_UNLOGGED = frozenset({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})

Around = Callable[[str, grpc.ServicerContext], AbstractContextManager[None]]


class AroundInterceptor(grpc.ServerInterceptor):
    """Runs every handler, to the last message of its answer, inside a context manager."""

    def __init__(self, around: Around) -> None:
        self._around = around

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler that would answer."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        codecs = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        one, many = self._one(method, handler), self._many(method, handler)
        if handler.request_streaming:
            if handler.response_streaming:
                return grpc.stream_stream_rpc_method_handler(many, **codecs)
            return grpc.stream_unary_rpc_method_handler(one, **codecs)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(many, **codecs)
        return grpc.unary_unary_rpc_method_handler(one, **codecs)

    def _one(self, method: str, handler: Any) -> Callable[[Any, grpc.ServicerContext], Any]:
        behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            with self._around(method, context):
                return behaviour(request, context)

        return answer

    def _many(
        self, method: str, handler: Any
    ) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream

        def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self._around(method, context):
                yield from behaviour(request, context)

        return answer


@contextmanager
def observed(method: str, context: grpc.ServicerContext) -> Iterator[None]:
    """Count, time and log a call; one JSON line, without anything of its content."""
    service, _, name = method.lstrip("/").partition("/")
    started = time.perf_counter()
    RPC_OPEN.labels(service).inc()
    try:
        yield
    except GeneratorExit:
        _set_code(context, grpc.StatusCode.CANCELLED)  # the client went before the last answer
        raise
    finally:
        seconds = time.perf_counter() - started
        code = _code(context).name
        RPC_OPEN.labels(service).dec()
        RPC_SECONDS.labels(service, name).observe(seconds)
        RPC_CALLS.labels(service, name, code).inc()
        if service not in _UNLOGGED:
            fields = {"service": service, "method": name, "code": code}
            _LOG.info("rpc", extra={**fields, "seconds": round(seconds, 6)})


@contextmanager
def with_errors(method: str, context: grpc.ServicerContext) -> Iterator[None]:
    """Turn our errors into statuses; anything else is logged here and leaves as INTERNAL."""
    try:
        yield
    except DomainError as error:
        context.abort_with_status(rpc_status.to_status(to_status(error)))
    except Exception:
        if _code(context) is not grpc.StatusCode.OK:
            raise  # the handler aborted on purpose
        _LOG.exception("bug", extra={"method": method})
        context.abort_with_status(rpc_status.to_status(INTERNAL))


def _code(context: grpc.ServicerContext) -> grpc.StatusCode:
    found = getattr(context, "code", lambda: None)()
    return found if isinstance(found, grpc.StatusCode) else grpc.StatusCode.OK


def _set_code(context: grpc.ServicerContext, code: grpc.StatusCode) -> None:
    if _code(context) is grpc.StatusCode.OK:
        context.set_code(code)
