"""Keeps a node at each of some places: whoever is lost or stops is replaced."""

import queue
import time
from collections.abc import Callable
from pathlib import Path

from services.training.adapters.carriers import Node
from services.training.adapters.processes import Hear, Message
from shared.errors import UnavailableError

MOST_STARTS = 20
"""Starts at one place before something must be wrong with more than the node."""

_FIRST_WORD_SECONDS = 120.0  # a busy machine takes long to import JAX
_END_SECONDS = 2.0  # a node that comes after the end was told looks for its group for ever

Start = Callable[[str, Hear], Node]


class Places:
    """Nodes by the name of their place; not for several threads at once.

    Args:
        start: Starts the node of a place, which is heard by the second argument.
        log: Where nodes leave their errors.
        silence_seconds: A node that says nothing for so long is lost.
    """

    def __init__(self, start: Start, log: Path, silence_seconds: float) -> None:
        self._start, self._log, self._silence_seconds = start, log, silence_seconds
        self._said: queue.Queue[tuple[str, int, Message]] = queue.Queue()
        self._nodes: dict[str, Node] = {}
        self._starts: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._looked = time.monotonic()

    def __contains__(self, place: str) -> bool:
        """Whether a node was started there."""
        return place in self._nodes

    def open(self, place: str) -> None:
        """Start a node there, after the one that was.

        Raises:
            UnavailableError: It is lost again and again.
        """
        turn = self._starts[place] = self._starts.get(place, 0) + 1
        if turn > MOST_STARTS:
            raise self._failure(f"{place} was lost {MOST_STARTS} times")
        if place in self._nodes:
            self._nodes[place].part()

        def hear(message: Message) -> None:
            self._said.put((place, turn, message))

        self._until[place] = time.monotonic() + _FIRST_WORD_SECONDS
        self._nodes[place] = self._start(place, hear)

    def look(self, seconds: float = 0.0) -> list[tuple[str, Message]]:
        """What nodes have said, by place, when one has or so long has passed; replace the lost.

        Raises:
            UnavailableError: A node gave up by itself, or is lost again and again.
        """
        heard = self._heard(seconds)
        for place, node in list(self._nodes.items()):
            if time.monotonic() > self._until[place]:
                node.kill()  # it says every second that it runs, unless it was stopped
            code = node.poll()
            if code is not None and code > 0:
                raise self._failure(f"{place} ended with code {code}")
            if code is not None and code < 0:
                self.open(place)
        return heard

    def has_ended(self, place: str) -> bool:
        """Whether the node there has done all that it was to do."""
        return self._nodes[place].poll() == 0

    def tell(self, line: str) -> None:
        """Write a line to all."""
        for node in self._nodes.values():
            node.tell(line)

    def end(self) -> list[tuple[str, Message]]:
        """Wait until all have ended, or long enough; what they said last."""
        until = time.monotonic() + _END_SECONDS
        for node in self._nodes.values():
            node.wait(max(until - time.monotonic(), 0.0))
        self.close()
        return self._heard(0.0)

    def close(self) -> None:
        """Leave no node behind."""
        for node in self._nodes.values():
            node.part()

    def _heard(self, seconds: float) -> list[tuple[str, Message]]:
        said = []
        try:
            said.append(self._said.get(timeout=seconds))
            while True:
                said.append(self._said.get_nowait())
        except queue.Empty:
            pass
        # What a node that was replaced has left is no sign of life of the new one.
        heard = [(place, message) for place, turn, message in said if turn == self._starts[place]]
        now = time.monotonic()
        if now - self._looked > self._silence_seconds / 2:
            # It was this process that did not listen; whoever was not heard is given time again.
            for place, until in self._until.items():
                self._until[place] = max(now + self._silence_seconds, until)
        for place, _ in heard:
            self._until[place] = now + self._silence_seconds
        self._looked = now
        return heard

    def _failure(self, what: str) -> UnavailableError:
        log = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return UnavailableError(f"{what}; see {self._log}", reason="TRAINING_NODE_FAILED", log=log)
