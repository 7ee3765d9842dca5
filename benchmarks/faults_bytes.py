"""Bytes of parameters and optimizer state that each server keeps."""

from collections import Counter
from functools import partial
from typing import Any

from services.training.engine.ps.in_process import InProcessTransport
from services.training.engine.ps.messages import Header, Kind
from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.outcome import Crew
from services.training.engine.ps.recipes import RECIPES
from services.training.engine.ps.run import train_in_threads
from services.training.engine.ps.transport import Connection, Receiver, Transport


def server_bytes(counts: tuple[int, ...] = (1, 2, 4)) -> dict[str, list[int]]:
    """By number of servers, what each sends when the whole state is asked for after training.

    Layers of 2.9 million numbers with AdamW, which keeps two more for each.
    """
    found = {}
    for count in counts:
        order = {
            "recipe": "dense",
            "arguments": {"widths": [784, 1024, 1024, 1024, 10], "rows": 64},
            "fit": {"batch_size": 32, "epochs": 1, "optimizer": {"clip_norm": None}},
            "sharing": {"owners": count, "has_seconds": False},
        }
        job, seen = order_builder(RECIPES)(order), _Counting()
        train_in_threads(job, job.start(), Crew(1, count), transport=partial(_same, seen))
        found[str(count)] = sorted(seen.kept.values())
    return found


def _same(transport: Transport) -> Transport:
    return transport


class _Counting:
    """A transport in this process that counts the states that servers are asked for."""

    def __init__(self) -> None:
        self._inner = InProcessTransport()
        self.kept: Counter[Connection] = Counter()

    def listen(self, address: str, receiver: Receiver) -> str:
        return self._inner.listen(address, _Counted(receiver, self.kept))

    def connect(self, address: str, receiver: Receiver) -> Connection:
        return self._inner.connect(address, receiver)

    def close(self) -> None:
        self._inner.close()


class _Counted:
    def __init__(self, receiver: Receiver, kept: "Counter[Connection]") -> None:
        self._receiver, self._kept = receiver, kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receiver, name)

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        if header.kind == Kind.STATE:
            self._kept[connection] += header.body
        self._receiver.received(connection, header, body)
