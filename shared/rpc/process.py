"""A service as a process of its own: environment, log, health, signals, drain and exit code."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from shared.config.claim import ServiceClaim
from shared.config.environment import Environment, Variable, read
from shared.config.home import Home, WorkspaceSettings
from shared.config.variables import (
    GRACE_SECONDS,
    HOME,
    LISTEN,
    LOG_LEVEL,
    METRICS_LISTEN,
    VARIABLES,
)
from shared.errors import DomainError, FailedPreconditionError, InvalidArgumentError
from shared.obs import logs
from shared.obs.metrics import MetricsPort
from shared.rpc._server import RunningServer, Service, serve

Check = Callable[[], None]
"""Returns if something that is needed can be reached; raises a `DomainError` that names it."""

_LOG = logging.getLogger(__name__)

_CHECK_SECONDS = 2.0
_WRONG_ENVIRONMENT, _CANNOT_START = 2, 3


@dataclass(frozen=True)
class Place:
    """What every service is told."""

    environment: Environment
    home: Home
    workspace: WorkspaceSettings


@dataclass(frozen=True)
class Composed:
    """A service over its adapters."""

    service: Service
    needs: Sequence[Check] = field(default=())
    """Health says SERVING while all of these can be reached."""


@dataclass(frozen=True)
class Role:
    """Which service a process is, and what it has to be told."""

    name: str
    """Short name, such as "feature"."""
    address: Variable[str]
    """Where callers find it; it listens there unless `ORIEL_LISTEN` says otherwise."""
    needed: Sequence[Variable[Any]]
    """Variables that must be set beside the address and the folder."""
    compose: Callable[[Place, ExitStack], Composed]
    """Puts the service together; what the stack is given is closed after the server has stopped,
    last first."""


def run(role: Role, environ: Mapping[str, str]) -> int:
    """Be a service until SIGTERM or SIGINT; return the exit code.

    0 after a signal, 2 for a wrong environment, 3 where the service cannot start.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        environment = read(environ, VARIABLES, (HOME, role.address, *role.needed))
        logs.configure()
        logging.getLogger().setLevel(environment[LOG_LEVEL])
        logging.captureWarnings(True)
        with ExitStack() as stack:
            _serve(role, environment, stack, stopping)
    except DomainError as error:
        sys.stderr.write("".join(f"error: {line}\n" for line in error.message.splitlines()))
        is_wrong = isinstance(error, InvalidArgumentError)
        return _WRONG_ENVIRONMENT if is_wrong else _CANNOT_START
    _LOG.info("stopped", extra={"service": role.name})
    return 0


def _serve(
    role: Role, environment: Environment, stack: ExitStack, stopping: threading.Event
) -> None:
    home = environment[HOME]
    workspace = WorkspaceSettings.load(home.settings_file)
    stack.enter_context(ServiceClaim(home, role.name))
    if metrics := environment.get(METRICS_LISTEN):
        stack.callback(_metrics(metrics).close)
    composed = role.compose(Place(environment, home, workspace), stack)
    listen = environment.get(LISTEN)
    server = serve(
        [composed.service],
        listen or environment[role.address],
        is_ready=False,
        allow_remote=listen is not None,
    )
    watching = threading.Thread(
        target=_watch, args=(server, composed.needs, stopping), name="readiness"
    )
    watching.start()
    stopping.wait()
    _LOG.info("stopping", extra={"service": role.name})
    server.stop(environment[GRACE_SECONDS])
    watching.join()


def _metrics(address: str) -> MetricsPort:
    host, _, port = address.rpartition(":")
    try:
        return MetricsPort(int(port), host.strip("[]"))
    except OSError as error:
        raise FailedPreconditionError(
            f"cannot listen on {address} for metrics; "
            f"give each service of a machine its own {METRICS_LISTEN.name}",
            reason="METRICS_ADDRESS_TAKEN",
            address=address,
        ) from error


def _watch(server: RunningServer, needs: Sequence[Check], stopping: threading.Event) -> None:
    """Keep health true until the process is told to stop."""
    told: str | None = None
    while not stopping.is_set():
        missing = _missing(needs)
        if missing != told:
            _LOG.log(
                logging.WARNING if missing else logging.INFO,
                "not ready" if missing else "ready",
                extra={"missing": missing, "address": server.address},
            )
        told = missing
        server.set_ready(is_ready=not missing)
        stopping.wait(_CHECK_SECONDS)


def _missing(needs: Sequence[Check]) -> str:
    """Say what cannot be reached; nothing where all can."""
    for check in needs:
        try:
            check()
        except DomainError as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may find it gone
            _LOG.exception("a check failed")
            return f"internal error ({type(error).__name__})"
    return ""
