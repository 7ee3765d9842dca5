"""The door for events over HTTP as a process of its own: `python -m services.console`."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack

from services.console.main import ConsoleSettings, serve
from shared import rpc
from shared.config.environment import Environment, read
from shared.config.home import WorkspaceSettings
from shared.config.variables import (
    CONSOLE_ADDRESS,
    GRACE_SECONDS,
    HOME,
    INGESTION_ADDRESS,
    LOG_LEVEL,
    METRICS_LISTEN,
    VARIABLES,
)
from shared.errors import DomainError, InvalidArgumentError
from shared.obs import logs
from shared.obs.metrics import MetricsPort

_LOG = logging.getLogger(__name__)

_WRONG_ENVIRONMENT, _CANNOT_START = 2, 3


def run(environ: Mapping[str, str]) -> int:
    """Take events until SIGTERM or SIGINT; return the exit code.

    0 after a signal, 2 for a wrong environment, 3 where it cannot start. The ingestion service may
    start later or go away for a while: senders are told to send again.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        environment = read(environ, VARIABLES, (HOME, INGESTION_ADDRESS))
        logs.configure()
        logging.getLogger().setLevel(environment[LOG_LEVEL])
        logging.captureWarnings(True)
        with ExitStack() as stack:
            _open(environment, stack)
            stopping.wait()
            _LOG.info("stopping")
    except DomainError as error:
        sys.stderr.write("".join(f"error: {line}\n" for line in error.message.splitlines()))
        is_wrong = isinstance(error, InvalidArgumentError)
        return _WRONG_ENVIRONMENT if is_wrong else _CANNOT_START
    return 0


def _open(environment: Environment, stack: ExitStack) -> None:
    home = environment[HOME]
    WorkspaceSettings.load(home.settings_file)
    if metrics := environment.get(METRICS_LISTEN):
        host, _, port = metrics.rpartition(":")
        stack.callback(MetricsPort(int(port), host).close)
    channel = stack.enter_context(rpc.connect(environment[INGESTION_ADDRESS]))
    host, _, port = environment[CONSOLE_ADDRESS].rpartition(":")
    door = serve(ConsoleSettings(home, host, int(port)), channel)
    stack.callback(door.stop, environment[GRACE_SECONDS])
    _LOG.info("serving", extra={"address": door.address})


if __name__ == "__main__":
    sys.exit(run(os.environ))
