"""Two hosts on one machine, joined by a wire of a known rate."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.network import Host, NetworkRefusedError, Wire, wire

_RECEIVE = """
import socket, sys, time
listening = socket.create_server((sys.argv[1], 7000))
print("ready", flush=True)
connection, _ = listening.accept()
total, started = 0, time.monotonic()
while chunk := connection.recv(1 << 20):
    total += len(chunk)
print(8e-6 * total / (time.monotonic() - started))
"""
_SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000)) as connection:
    connection.sendall(bytes(int(sys.argv[2])))
"""


@pytest.fixture
def two() -> Iterator[Wire]:
    try:
        with wire() as made:
            yield made
    except NetworkRefusedError as error:
        pytest.skip(str(error))


def _python(host: Host, script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [*host.prefix, sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _megabits_a_second(two: Wire, count: int) -> float:
    here, there = two.hosts
    receiver = _python(here, _RECEIVE, here.address)
    assert receiver.stdout is not None
    assert receiver.stdout.readline() == "ready\n"
    _python(there, _SEND, here.address, str(count)).communicate(timeout=60)
    return float(receiver.communicate(timeout=60)[0])


def test_a_command_runs_at_its_host_under_its_address(two: Wire) -> None:
    script = "import socket; print(socket.gethostbyname(socket.gethostname()))"
    for host in two.hosts:
        assert _python(host, script).communicate(timeout=60)[0].strip() == host.address


def test_the_wire_carries_no_more_than_its_limit_and_limits_can_be_changed(two: Wire) -> None:
    for megabits in (40, 80):
        two.limit(f"{megabits}mbit")
        carried = _megabits_a_second(two, megabits * 125_000)
        assert carried < 1.1 * megabits, "a second of data and the 128 KiB let through at once"


def test_two_wires_do_not_meet_and_leave_nothing_behind(two: Wire) -> None:
    with wire() as other:
        _python(other.hosts[0], "pass").communicate(timeout=60)
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert other.hosts[0].namespace not in listed.stdout
    assert two.hosts[0].namespace in listed.stdout


def test_where_the_tools_are_missing_the_refusal_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NetworkRefusedError, match="iproute2"), wire():
        pass
