"""Two hosts on one machine: network namespaces joined by a wire whose rate can be limited."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from secrets import token_hex

_AS_HOST = 'hostname "$0" && exec "$@"'


class NetworkRefusedError(RuntimeError):
    """This machine does not let us make network namespaces."""


@dataclass(frozen=True)
class Host:
    """One end of the wire.

    Args:
        namespace: Of the kernel; also known to `ip netns`.
        address: Of its end of the wire.
        device: The network device of its end.
    """

    namespace: str
    address: str
    device: str

    @property
    def prefix(self) -> list[str]:
        """Put before a command to run it here.

        The host's name is its address, because gloo listens where the host's name points to.
        """
        inside = ["ip", "netns", "exec", self.namespace, "unshare", "--uts"]
        return [*inside, "sh", "-c", _AS_HOST, self.address]


@dataclass(frozen=True)
class Wire:
    """Two hosts and what lies between them."""

    hosts: tuple[Host, Host]

    def limit(self, rate: str | None) -> None:
        """Let each direction carry at most `rate` ("200mbit", "1gbit"), or all that the kernel can.

        A token bucket lets 128 KiB through at once and queues at most 40 ms.
        """
        queue = ["tbf", "rate", rate, "burst", "128kb", "latency", "40ms"] if rate else ["pfifo"]
        for host in self.hosts:
            inside = ["ip", "netns", "exec", host.namespace]
            _do([*inside, "tc", "qdisc", "replace", "dev", host.device, "root", *queue])


@contextmanager
def wire(rate: str | None = None) -> Iterator[Wire]:
    """Two hosts for as long as the context lasts.

    Raises:
        NetworkRefusedError: Namespaces cannot be made here.
    """
    name = f"oriel_{token_hex(4)}"
    hosts = (Host(f"{name}_a", "10.9.0.1", "wire"), Host(f"{name}_b", "10.9.0.2", "wire"))
    with ExitStack() as undo:
        for host in hosts:
            _do(["ip", "netns", "add", host.namespace])
            undo.callback(_do, ["ip", "netns", "delete", host.namespace])
        here, there = (["netns", host.namespace] for host in hosts)
        pair = ["type", "veth", "peer", "name", "wire"]
        _do(["ip", "link", "add", "wire", *here, *pair, *there])
        for host in hosts:
            inside = ["ip", "-n", host.namespace]
            _do([*inside, "address", "add", f"{host.address}/24", "dev", host.device])
            _do([*inside, "link", "set", host.device, "up"])
            _do([*inside, "link", "set", "lo", "up"])
            # Ports are found free on the machine: nothing that connects in here may be given one.
            own_ports = "net.ipv4.ip_local_port_range=61000 65535"
            _do(["ip", "netns", "exec", host.namespace, "sysctl", "-q", "-w", own_ports])
        made = Wire(hosts)
        made.limit(rate)
        yield made


def _do(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NetworkRefusedError(
            f"{command[0]} is not installed; rate-limited networks need iproute2"
        ) from error
    except subprocess.CalledProcessError as error:
        raise NetworkRefusedError(
            f"`{' '.join(command)}` was refused: {error.stderr.strip()}; rate-limited networks "
            "need root with CAP_NET_ADMIN and CAP_SYS_ADMIN"
        ) from error
