"""A service as a process: what it is told, its health, its end and its exit code."""

import logging
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from shared.config.claim import ServiceClaim
from shared.config.home import Home, WorkspaceSettings
from shared.config.variables import FEATURE_ADDRESS, WAREHOUSE
from shared.errors import UnavailableError
from shared.rpc import Service, require_serving
from shared.rpc.process import Composed, Role, run


@pytest.fixture(autouse=True)
def _as_before():
    """A process of its own may keep its signals and its log; this one is shared."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for number, handler in signals.items():
        signal.signal(number, handler)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def environ(tmp_path):
    home = Home(tmp_path / "home")
    WorkspaceSettings(pseudonym_key=b"k" * 16).save(home.settings_file)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    return {"ORIEL_HOME": str(home.path), "ORIEL_FEATURE_ADDRESS": address}


class Parts:
    """A service that needs one thing, and what was closed of it."""

    def __init__(self):
        self.is_there, self.closed = threading.Event(), []

    def need(self):
        if not self.is_there.is_set():
            raise UnavailableError("it is away", reason="AWAY")

    def compose(self, place, stack):
        assert place.workspace.currency == "USD"
        stack.callback(self.closed.append, "store")
        service = Service(
            "oriel.feature.v1.FeatureService",
            lambda server: None,
            lambda grace: self.closed.append(f"service, {grace:g} s"),
        )
        return Composed(service, (self.need,))


def role(parts, needed=()):
    return Role("feature", FEATURE_ADDRESS, needed, parts.compose)


def health(address):
    """Ask until the server is reached; return the reason why it is not ready, or nothing."""
    while True:
        try:
            require_serving(address)
        except UnavailableError as error:
            if error.reason != "SERVICE_UNREACHABLE":
                return error.reason
        else:
            return ""


def test_health_follows_what_is_needed_and_a_signal_ends_all_in_order(environ):
    parts, seen = Parts(), []
    address = environ["ORIEL_FEATURE_ADDRESS"]

    def operate():
        seen.append(health(address))
        parts.is_there.set()
        while health(address):
            pass
        seen.append("")
        os.kill(os.getpid(), signal.SIGTERM)

    operator = threading.Thread(target=operate)
    operator.start()
    assert run(role(parts), {**environ, "ORIEL_GRACE_SECONDS": "1"}) == 0
    operator.join()
    assert seen == ["SERVICE_NOT_READY", ""]
    assert parts.closed == ["service, 1 s", "store"]
    with ServiceClaim(Home(Path(environ["ORIEL_HOME"])), "feature"):
        pass  # it was let go of


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"ORIEL_HOME": ""}, 2, "error: ORIEL_HOME is not set"),
        ({"ORIEL_LOG_LEVEL": "loud"}, 2, "error: ORIEL_LOG_LEVEL is wrong"),
        ({"ORIEL_HOEM": "/srv"}, 2, "did you mean 'ORIEL_HOME'?"),
        ({"ORIEL_FEATURE_ADDRESS": "0.0.0.0:0"}, 2, "error: ORIEL_FEATURE_ADDRESS is wrong"),
        ({"ORIEL_FEATURE_ADDRESS": "0.0.0.0:50053"}, 2, "ORIEL_LISTEN"),
        ({"ORIEL_HOME": "/nowhere"}, 3, "oriel init"),
    ],
)
def test_a_service_that_cannot_start_says_why_and_by_its_code(environ, capsys, changes, code, said):
    assert run(role(Parts()), {**environ, **changes}) == code
    assert said in capsys.readouterr().err


def test_what_a_service_needs_is_asked_for_by_name(environ, capsys):
    assert run(role(Parts(), (WAREHOUSE,)), {**environ, "ORIEL_LOG_LEVEL": "loud"}) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["ORIEL_WAREHOUSE", "ORIEL_LOG_LEVEL"]


def test_a_second_process_of_a_service_is_told_who_is_the_first(environ, capsys):
    with ServiceClaim(Home(Path(environ["ORIEL_HOME"])), "feature"):
        assert run(role(Parts()), environ) == 3
    assert f"process {os.getpid()} already is the feature service" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("ORIEL_FEATURE_ADDRESS", "another program may hold the port"),
        ("ORIEL_METRICS_LISTEN", "its own ORIEL_METRICS_LISTEN"),
    ],
)
def test_a_port_that_is_taken_is_no_traceback(environ, capsys, variable, said):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run(role(Parts()), {**environ, variable: address}) == 3
    assert said in capsys.readouterr().err


def test_the_log_says_as_much_as_is_asked_for(environ):
    with ServiceClaim(Home(Path(environ["ORIEL_HOME"])), "feature"):
        run(role(Parts()), {**environ, "ORIEL_LOG_LEVEL": "debug"})
    assert logging.getLogger().level == logging.DEBUG
