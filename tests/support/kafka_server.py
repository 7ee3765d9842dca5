"""A real Apache Kafka from Maven Central: one node on loopback, with a folder of its own.

`python -m tests.support.kafka_server start` runs it for development until `… stop`.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from string import Template

from filelock import FileLock

_CHECKOUT = Path(__file__).resolve().parents[2]
_INFRA = _CHECKOUT / "infra" / "kafka"
_CACHE = _CHECKOUT / ".cache" / "kafka"
_JAVA_VERSION = 17
_FETCH_SECONDS = 300
_START_SECONDS = 60
_STOP_SECONDS = 20
_IDENTITY = "version=1\ncluster.id=b3JpZWwtZGV2ZWxvcG1lbg\nnode.id=1\n"
# Quick to start, and small beside what is tested.
_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class KafkaUnobtainableError(Exception):
    """The broker could not be had on this machine; the message says why."""


class KafkaServer:
    """A broker with its own folder, on a free port of loopback; it may be killed and started again.

    Args:
        folder: Its data and settings.
        port: Port to listen on; 0 takes a free one.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.port = port or _free_port()
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        data = folder / "data"
        data.mkdir(parents=True)
        (data / "meta.properties").write_text(_IDENTITY, encoding="utf-8")
        text = (_INFRA / "server.properties").read_text(encoding="utf-8")
        filled = Template(text).substitute(port=self.port, controller=_free_port(), data=data)
        (folder / "server.properties").write_text(filled, encoding="utf-8")

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            KafkaUnobtainableError: It cannot be had here, or did not start.
        """
        jars = fetched()
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "java",
                    *_JVM,
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                    "-cp",
                    f"{jars}/*",
                    "kafka.Kafka",
                    str(self._folder / "server.properties"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self._folder / "log").read_text(errors="replace")[-500:]
                raise KafkaUnobtainableError(f"Kafka did not start: {said}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def fetched() -> Path:
    """Return the folder of the broker's jars, fetching them the first time.

    Raises:
        KafkaUnobtainableError: There is no Java 17 or Maven here, or no way to Maven Central.
    """
    if shutil.which("java") is None:
        raise KafkaUnobtainableError("there is no java on this machine")
    version = _java_version()
    if version < _JAVA_VERSION:
        raise KafkaUnobtainableError(f"Kafka 4 needs Java {_JAVA_VERSION}, and this is {version}")
    pom = _INFRA / "pom.xml"
    _CACHE.mkdir(parents=True, exist_ok=True)
    jars, recipe = _CACHE / "jars", _CACHE / "pom.xml"
    with FileLock(_CACHE / "lock"):
        if not recipe.exists() or recipe.read_bytes() != pom.read_bytes():
            shutil.rmtree(jars, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
                _fetch(pom, Path(folder) / "jars")
                (Path(folder) / "jars").replace(jars)
            shutil.copy(pom, recipe)
    return jars


def _fetch(pom: Path, folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise KafkaUnobtainableError("there is no mvn on this machine")
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={folder}"],
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KafkaUnobtainableError("Maven took too long") from error
    if done.returncode or not any(folder.glob("kafka_*.jar")):
        said = (done.stdout or done.stderr).strip()
        raise KafkaUnobtainableError(f"Maven failed: {said[:300]}")


def _java_version() -> int:
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    quoted = done.stderr.split('"')
    major = quoted[1].split(".")[0] if len(quoted) > 1 else ""
    return int(major) if major.isdigit() else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _start(port: int) -> None:
    folder, pid = _CACHE / "development", _CACHE / "pid"
    _stop()
    shutil.rmtree(folder, ignore_errors=True)
    server = KafkaServer(folder, port)
    server.start()
    if server.process is not None:
        pid.write_text(str(server.process.pid), encoding="utf-8")
    sys.stdout.write(f"Kafka listens on {server.address}, empty; make kafka-stop ends it\n")


def _stop() -> None:
    pid = _CACHE / "pid"
    if not pid.exists():
        return
    number = int(pid.read_text(encoding="utf-8"))
    pid.unlink()
    # The number may be another program's by now.
    command = Path(f"/proc/{number}/cmdline")
    if not command.exists() or b"kafka.Kafka" not in command.read_bytes():
        return
    os.kill(number, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while command.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def main() -> None:
    """Start or stop the broker of this checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--port", type=int, default=9092)
    chosen = parser.parse_args()
    if chosen.action == "stop":
        _stop()
        return
    try:
        _start(chosen.port)
    except KafkaUnobtainableError as error:
        sys.exit(f"no Kafka here: {error}")


if __name__ == "__main__":
    main()
