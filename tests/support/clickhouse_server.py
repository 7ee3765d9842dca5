"""Debian's clickhouse-server 18.16 as the real peer on the wire; needs no root.

The newest server that a package manager gives everywhere. It lacks the SQL that Oriel is written
in, so it proves the protocol and not the product.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from string import Template

from filelock import FileLock

USER = "oriel"

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "clickhouse-server"
_PACKAGE = "clickhouse-server"
_APT_SECONDS = 240
_START_SECONDS = 60
_CONFIG = Template("""<?xml version="1.0"?>
<yandex>
  <logger><level>warning</level><log>$folder/log</log><errorlog>$folder/errors</errorlog></logger>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>$port</tcp_port>
  <path>$folder/data/</path>
  <tmp_path>$folder/tmp/</tmp_path>
  <format_schema_path>$folder/schemas/</format_schema_path>
  <users_config>$folder/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>
  <mark_cache_size>67108864</mark_cache_size>
</yandex>
""")
_USERS = Template("""<?xml version="1.0"?>
<yandex>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <$user>
      <password>$password</password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </$user>
  </users>
</yandex>
""")


class ServerUnobtainableError(Exception):
    """The server could not be had on this machine; the message says why."""


class ClickHouseServer:
    """A server with its own folder, on a free port of loopback.

    Args:
        root: Where its package is unpacked; see `unpacked`.
        folder: Its data and settings.
        password: Password of its one user.
    """

    def __init__(self, root: Path, folder: Path, password: str) -> None:
        self.host = "127.0.0.1"
        self.port = _free_port()
        self.password = password
        self._root = root
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("data", "tmp", "schemas"):
            (folder / name).mkdir(parents=True)
        config = _CONFIG.substitute(folder=folder, port=self.port)
        (folder / "config.xml").write_text(config, encoding="utf-8")
        users = _USERS.substitute(user=USER, password=password)
        (folder / "users.xml").write_text(users, encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until it answers."""
        folders = [
            each for top in ("usr/lib", "lib") for each in self._root.glob(f"{top}/*-linux-gnu")
        ]
        libraries = ":".join(map(str, folders))
        self._process = subprocess.Popen(
            [self._root / "usr/sbin/clickhouse-server", f"--config={self._folder}/config.xml"],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.host, self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerUnobtainableError(f"clickhouse-server did not start: {self._errors()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _errors(self) -> str:
        file = self._folder / "errors"
        return file.read_text(errors="replace")[-500:] if file.exists() else "it said nothing"


def unpacked() -> Path:
    """Return the folder in which the server is unpacked, fetching it the first time.

    Raises:
        ServerUnobtainableError: There is no apt here, or it cannot reach its archive.
    """
    root = _CACHE / "root"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(_CACHE / "lock"):
        if not root.exists():
            with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
                _unpack(Path(folder))
                (Path(folder) / "root").replace(root)
    return root


def _unpack(folder: Path) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise ServerUnobtainableError(f"there is no {tool} on this machine")
    (folder / "lists" / "partial").mkdir(parents=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)
    options = {
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    # A source that this machine cannot reach must not stop the one that has the package.
    _run([*apt, "update"], is_checked=False)
    _run([*apt, "install", "--no-install-recommends", "--download-only", "-y", _PACKAGE])
    for package in sorted((folder / "cache" / "archives").glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(folder / "root")])


def _run(command: list[str], *, is_checked: bool = True) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_APT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServerUnobtainableError(f"{command[0]} took too long") from error
    if is_checked and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ServerUnobtainableError(f"{command[0]} failed: {said[-300:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True
