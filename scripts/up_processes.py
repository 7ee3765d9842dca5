"""Runs the four services as processes until Ctrl-C or SIGTERM: what `make up-processes` does.

A service that dies is started again. Without ORIEL_WAREHOUSE the events lie in the workspace's
embedded warehouse, and a small tool of the tests stands before it as the ClickHouse server: for a
try-out on one machine, not for use.
"""

import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shared.config.environment import read
from shared.config.home import Home, WorkspaceSettings
from shared.config.variables import (
    GRACE_SECONDS,
    HOME,
    SERVICE_ADDRESSES,
    VARIABLES,
    WAREHOUSE,
)
from shared.errors import DomainError
from shared.rpc import require_serving
from shared.warehouse.lock import FolderLock

REPOSITORY = Path(__file__).resolve().parents[1]
SERVICES = {name.split(".")[1]: variable for name, variable in SERVICE_ADDRESSES.items()}
MODULES = {name: f"services.{name}" for name in SERVICES}
_LOOK_SECONDS = 0.2
_RESTART_SECONDS = 1.0
"""Shortest time between two starts of a service."""
_CANNOT_START = (2, 3)
"""Exit codes of a service that would end the same way again."""
_DRAIN_SECONDS = 60.0
"""Beside the grace: longest that a service may take to end."""


def main(modules: Mapping[str, str] = MODULES) -> int:
    """Run the services; return 0 after a signal, else the code of a service that cannot start."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        defaults = {variable.name: variable.example for variable in SERVICES.values()}
        environ = {HOME.name: ".oriel", **defaults, **os.environ}
        settings = read(environ, VARIABLES)
        home = settings[HOME]
        WorkspaceSettings.load(home.settings_file)
        environ[HOME.name] = str(home.path)
        with ExitStack() as stack:
            if settings.get(WAREHOUSE) is None:
                environ[WAREHOUSE.name] = stack.enter_context(_try_out_warehouse(home))
                print(
                    f"warehouse  a tool of the tests before {home.warehouse_path}: a try-out only"
                )
            _tell(home, environ)
            stop_seconds = settings[GRACE_SECONDS] + _DRAIN_SECONDS
            return _Group(modules, home, environ, stop_seconds).run(stopping)
    except DomainError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return _CANNOT_START[-1]


class _Group:
    """The four processes."""

    def __init__(
        self,
        modules: Mapping[str, str],
        home: Home,
        environ: Mapping[str, str],
        stop_seconds: float,
    ) -> None:
        self._modules, self._home = modules, home
        self._environ, self._stop_seconds = environ, stop_seconds
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._ready: set[str] = set()

    def run(self, stopping: threading.Event) -> int:
        """Start them and start again what dies, until told to stop."""
        code = 0
        try:
            for name in self._modules:
                self._start(name)
            while not stopping.wait(_LOOK_SECONDS) and code == 0:
                for name, process in list(self._running.items()):
                    if process.poll() is None:
                        self._look(name)
                    elif process.returncode in _CANNOT_START:
                        print(f"{name} cannot start; see {self._log(name)}", flush=True)
                        code = process.returncode
                    elif time.monotonic() - self._started[name] > _RESTART_SECONDS:
                        print(
                            f"{name} ended with {process.returncode}; starting it again", flush=True
                        )
                        self._ready.discard(name)
                        self._start(name)
        finally:
            print("stopping", flush=True)
            self._stop()
        return code

    def _start(self, name: str) -> None:
        self._started[name] = time.monotonic()
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", self._modules[name]],
                cwd=REPOSITORY,
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends them
            )
        print(f"{name:<10} process {self._running[name].pid}", flush=True)

    def _look(self, name: str) -> None:
        """Say once that a service has become ready."""
        if name in self._ready:
            return
        address = self._environ[SERVICES[name].name]
        try:
            require_serving(address)
        except DomainError:
            return
        self._ready.add(name)
        print(f"{name:<10} ready at {address}", flush=True)

    def _stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for name, process in self._running.items():
            try:
                process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                print(f"{name} did not end and is killed", flush=True)
                process.kill()
                process.wait()

    def _log(self, name: str) -> Path:
        self._home.logs_path.mkdir(parents=True, exist_ok=True)
        return self._home.logs_path / f"{name}.log"


@contextmanager
def _try_out_warehouse(home: Home) -> Iterator[str]:
    """Run the tests' front before the workspace's embedded warehouse; yield its URL."""
    lock = FolderLock(home.warehouse_path.resolve())
    lock.acquire()
    password = secrets.token_hex(16)
    command = [sys.executable, "-m", "tests.support.native_front"]
    process = subprocess.Popen(
        [*command, "--folder", str(home.warehouse_path), "--password", password],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield f"clickhouse://oriel:{password}@127.0.0.1:{port}/oriel"
        finally:
            process.kill()
            lock.release()


def _tell(home: Home, environ: Mapping[str, str]) -> None:
    """Leave what `oriel` needs to find the services where a shell can read it."""
    names = (HOME.name, *(variable.name for variable in SERVICES.values()))
    file = home.path / "processes.env"
    file.write_text("".join(f"export {name}={shlex.quote(environ[name])}\n" for name in names))
    print(f"logs       {home.logs_path}")
    print(f"in another shell:  . {file} && oriel doctor", flush=True)


if __name__ == "__main__":
    sys.exit(main())
