"""A transport that reaches nodes of its own process without the network."""

from services.training.engine.ps.in_process import InProcessTransport
from services.training.engine.ps.transport import IN_FLIGHT_BYTES, Connection, Receiver, Transport


class NearTransport:
    """Wraps a transport; who listens through it is reached directly by who connects through it."""

    def __init__(self, far: Transport, limit_bytes: int = IN_FLIGHT_BYTES) -> None:
        self._far = far
        self._near = InProcessTransport(limit_bytes)
        self._here: set[str] = set()

    def listen(self, address: str, receiver: Receiver) -> str:
        """Be reachable from everywhere."""
        bound = self._far.listen(address, receiver)
        self._here.add(self._near.listen(bound, receiver))
        return bound

    def connect(self, address: str, receiver: Receiver) -> Connection:
        """The nearest way there."""
        way: Transport = self._near if address in self._here else self._far
        return way.connect(address, receiver)

    def close(self) -> None:
        """Part from every peer."""
        self._near.close()
        self._far.close()
