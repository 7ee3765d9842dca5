"""The routes of the door, and what every answer looks like."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from services.console.domain.messages import BATCH, KINDS
from services.console.http.bodies import unpacked
from services.console.http.observed import observe
from services.console.usecases.ports import Rejection
from services.console.usecases.take import Door
from shared.errors import (
    CancelledError,
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)

RETRY_SECONDS = 1

_LOG = logging.getLogger(__name__)

_STATUSES: Mapping[type[DomainError], int] = {
    InvalidArgumentError: 400,
    UnauthenticatedError: 401,
    ResourceExhaustedError: 429,
    CancelledError: 503,
    FailedPreconditionError: 503,
    UnavailableError: 503,
}
_CROSS_ORIGIN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Encoding, Content-Type, X-Retry-Count",
    "Access-Control-Expose-Headers": "Retry-After",
    "Access-Control-Max-Age": "86400",
}
# A challenge for Basic would let browsers ask the visitors of a shop for a password.
_CHALLENGE = 'WriteKey realm="oriel"'


def create_application(door: Door, is_ready: Callable[[], bool]) -> Flask:
    """Return the application.

    Args:
        door: Takes what is sent.
        is_ready: Says whether it could be stored now.
    """
    application = Flask(__name__, static_folder=None)
    application.url_map.strict_slashes = False
    for kind in (*KINDS, BATCH):
        take = partial(_take, door, kind)
        for path in (kind, kind[0]):  # libraries for browsers and phones use the first letter
            application.add_url_rule(f"/v1/{path}", kind, take, methods=["POST"])
    application.add_url_rule("/health/live", "live", lambda: _answer(200, {"status": "serving"}))
    application.add_url_rule("/health/ready", "ready", partial(_ready, is_ready))
    application.register_error_handler(DomainError, _refused)
    application.register_error_handler(HTTPException, _no_such_page)
    application.register_error_handler(Exception, _failed)
    application.after_request(_open_to_browsers)
    observe(application)
    return application


def _take(door: Door, kind: str) -> Response:
    body = unpacked(request.get_data(), request.headers.get("Content-Encoding", ""), kind)
    sent = request.authorization
    is_basic = sent is not None and sent.type == "basic"
    taken = door.take(kind, body, (sent.username or "") if sent and is_basic else "")
    rejected = [_rejection(rejection) for rejection in taken.rejections]
    if rejected and not taken.stored_count:
        first = rejected[0]
        return _answer(400, {"success": False, **_without_index(first), "rejected": rejected})
    return _answer(200, {"success": True, "stored": taken.stored_count, "rejected": rejected})


def _ready(is_ready: Callable[[], bool]) -> Response:
    if is_ready():
        return _answer(200, {"status": "serving"})
    return _answer(503, {"status": "the ingestion service does not answer"})


def _refused(error: DomainError) -> Response:
    status = _STATUSES.get(type(error), 500)
    said: dict[str, Any] = {"success": False, "code": error.reason, "message": error.message}
    if "field" in error.metadata:
        said["field"] = error.metadata["field"]
    if "index" in error.metadata:
        said["index"] = int(error.metadata["index"])
    answer = _answer(status, said)
    if status in (429, 503):
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    if status == 401:
        answer.headers["WWW-Authenticate"] = _CHALLENGE
    return answer


def _no_such_page(error: HTTPException) -> Response:
    name = (error.name or "").upper().replace(" ", "_")
    said = {"success": False, "code": name, "message": error.description}
    answer = _answer(error.code or 500, said)
    if isinstance(error, MethodNotAllowed):
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return answer


def _failed(error: Exception) -> Response:
    _LOG.error("bug", exc_info=error)
    return _answer(500, {"success": False, "code": "INTERNAL", "message": "internal error"})


def _open_to_browsers(answer: Response) -> Response:
    answer.headers.update(_CROSS_ORIGIN)
    return answer


def _answer(status: int, said: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(said) + b"\n", status, mimetype="application/json")


def _rejection(rejection: Rejection) -> dict[str, Any]:
    return {
        "index": rejection.index,
        "field": rejection.field,
        "code": rejection.reason,
        "message": rejection.message,
    }


def _without_index(rejection: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rejection.items() if key != "index"}
