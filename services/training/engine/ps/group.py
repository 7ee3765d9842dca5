"""What a server keeps of one group, and who is told of what it does."""

import threading
from dataclasses import dataclass, field

from services.training.engine.local import numbers
from services.training.engine.ps.holdings import Holdings, Update
from services.training.engine.ps.job import Job
from services.training.engine.ps.losses import Losses
from services.training.engine.ps.memory import as_bytes
from services.training.engine.ps.messages import Header, Kind, control
from services.training.engine.ps.partition import pieces_of
from services.training.engine.ps.states import Kept, read_state, send_state
from services.training.engine.ps.transport import LAST, Connection
from services.training.engine.ps.wire import Encoder, Wire, decode

_REPLICATION_PRIORITY = 1


@dataclass(frozen=True)
class _Way:
    """How values go to the workers: in pieces of a size, at a priority."""

    piece: int
    priority: int


@dataclass
class ServedGroup:
    """The owners that a server stands for, first or second, and their ranges.

    A server that has a second one for an owner holds new values back until the second server has
    applied them too: no worker ever sees values that could be lost.

    Args:
        holdings: By owner, what this server updates.
        replicas: By owner, what it repeats after the first server.
        seconds: By owner, the connection to its second server.
        start: Which of the coordinator's starts this belongs to; it goes with all that is told.
    """

    job: Job
    coordinator: Connection
    start: int
    holdings: dict[int, Holdings] = field(default_factory=dict)
    replicas: dict[int, Holdings] = field(default_factory=dict)
    seconds: dict[int, Connection] = field(default_factory=dict)
    workers: list[Connection] = field(default_factory=list)
    _held_back: dict[tuple[int, int, int, int], tuple[Kept, _Way]] = field(default_factory=dict)
    _settled: dict[int, int] = field(default_factory=dict)
    _losses: dict[int, Losses] = field(default_factory=dict)
    _encoder: Encoder = field(default_factory=Encoder)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def welcome(self, worker: Connection) -> None:
        """Send a worker all values, and every update from now on."""
        with self._lock, numbers(self.job.config):
            self.workers.append(worker)
            for owner in self.holdings:
                self._publish_all(owner, [worker])

    def dismiss(self, connection: Connection) -> None:
        """That peer is gone; if it was a second server, the coordinator decides what follows.

        Until then nothing is let out that the second server may not have: it may be this server
        that everybody else has given up.
        """
        with self._lock:
            if connection in self.workers:
                self.workers.remove(connection)
            for owner, second in self.seconds.items():
                if second is connection:
                    self._tell("parted", owner=owner)

    def load(self, header: Header, body: memoryview) -> None:
        """Take a range over from the coordinator."""
        with self._lock, numbers(self.job.config):
            holdings = self.holdings.setdefault(header.owner, Holdings(self.job))
            kept = read_state(holdings.rules, header, body)
            holdings.load(kept)
            self._publish(kept, _Way(header.size, LAST))

    def loaded(self, owner: int) -> None:
        """The coordinator has sent all ranges of an owner."""
        with self._lock:
            self._tell_settled(owner)

    def add(self, header: Header, body: memoryview) -> None:
        """Take in a piece of a gradient."""
        with self._lock, numbers(self.job.config):
            gradient = decode(Wire(header.wire), body, self.job.dtype)
            self._losses_of(header.owner).add(header.step, header.part, header.loss)
            updates = self.holdings[header.owner].add(
                header.vector, header.start, header.step, header.part, gradient
            )
            for update in updates:
                self._settle(header.owner, update, _Way(update.piece, header.priority))
            if updates:
                self._tell_settled(header.owner)

    def replicate(self, owner: int, second: Connection) -> None:
        """Have that server follow all updates of an owner's ranges from now on."""
        with self._lock, numbers(self.job.config):
            self._release_all(owner)
            for kept in self.holdings[owner].states():
                send_state(second, owner, kept, _REPLICATION_PRIORITY, object())
            # Of their priority, so that it arrives after them.
            header, body = control("complete", owner=owner)
            second.send(header._replace(priority=_REPLICATION_PRIORITY), body, object())
            self.seconds[owner] = second

    def part_from_second(self, owner: int) -> None:
        """The second server of an owner is lost, also if it does not know."""
        with self._lock, numbers(self.job.config):
            second = self.seconds.pop(owner, None)
            self._release_all(owner)
            self._tell_settled(owner)
        if second is not None:
            second.drop()

    def follow(self, header: Header, body: memoryview) -> None:
        """As second server: take over a range from the first."""
        with self._lock, numbers(self.job.config):
            holdings = self.replicas.setdefault(header.owner, Holdings(self.job))
            holdings.load(read_state(holdings.rules, header, body))

    def complete(self, owner: int) -> None:
        """As second server: all ranges of that owner have come."""
        self._tell("second", owner=owner)

    def repeat(self, first: Connection, header: Header, body: memoryview) -> None:
        """As second server: apply a sum, and say so."""
        with self._lock, numbers(self.job.config):
            replica = self.replicas.get(header.owner)
            if replica is None:  # taken over from a first server that was only slow to end
                return
            total = decode(Wire.FLOAT32, body, self.job.dtype)
            replica.repeat(header.vector, header.start, header.step, total)
            self._losses_of(header.owner).put(header.step, header.loss)
        first.send(header._replace(kind=Kind.KEPT, body=0), b"", object())

    def release(self, header: Header) -> None:
        """The second server has a sum: its values may be seen."""
        key = (header.owner, header.vector, header.start, header.step)
        with self._lock, numbers(self.job.config):
            if key in self._held_back:
                self._publish(*self._held_back.pop(key))
                self._tell_settled(header.owner)

    def take_over(self, owner: int) -> None:
        """The first server of an owner is lost: stand for it."""
        with self._lock, numbers(self.job.config):
            self.holdings[owner] = self.replicas.pop(owner)
            self._publish_all(owner, self.workers)
            self._settled.pop(owner, None)
            self._tell("taken", owner=owner)
            self._tell_settled(owner)

    def send_states(self, to: Connection, number: int) -> None:
        """Send all ranges that this server stands for, for the collection of that number."""
        with self._lock, numbers(self.job.config):
            for owner, holdings in self.holdings.items():
                for kept in holdings.states():
                    send_state(to, owner, kept, number=number)

    def _release_all(self, owner: int) -> None:
        """Let out all new values of an owner's ranges."""
        for key in [key for key in self._held_back if key[0] == owner]:
            self._publish(*self._held_back.pop(key))

    def _settle(self, owner: int, update: Update, way: _Way) -> None:
        kept, second = update.kept, self.seconds.get(owner)
        if second is None:
            self._publish(kept, way)
            return
        self._held_back[owner, kept.vector, kept.start, update.step] = (kept, way)
        body = as_bytes(update.total)
        header = Header(
            Kind.TOTAL,
            priority=_REPLICATION_PRIORITY,
            owner=owner,
            vector=kept.vector,
            start=kept.start,
            size=len(kept.values),
            step=update.step,
            loss=self._losses_of(owner).total(update.step),
            body=len(body),
        )
        # With a key of its own it never waits: two servers that follow each other must not.
        second.send(header, body, object())

    def _publish_all(self, owner: int, workers: list[Connection]) -> None:
        for kept in self.holdings[owner].values():
            # The version is in the tag: neither of two versions may replace the other.
            self._publish(kept, _Way(len(kept.values), LAST), workers, kept.version)

    def _publish(
        self,
        kept: Kept,
        way: _Way,
        workers: list[Connection] | None = None,
        tag: object = None,
    ) -> None:
        """Send values; they replace older ones of the same tag that have not left yet."""
        is_state = self.job.vectors[kept.vector].is_state
        wire = Wire.FLOAT32 if is_state else self.job.sharing.wire.of_values
        for piece in pieces_of(kept.start, len(kept.values), max(way.piece, 1)):
            values = kept.values[piece.start - kept.start :][: piece.size]
            body = self._encoder.encode(wire, kept.vector, piece.start, values)
            header = Header(
                Kind.VALUES,
                wire=wire,
                priority=way.priority,
                vector=kept.vector,
                start=piece.start,
                size=piece.size,
                step=kept.version,
                body=len(body),
            )
            for worker in self.workers if workers is None else workers:
                worker.send(header, body, (kept.vector, piece.start, piece.size, tag))

    def _tell_settled(self, owner: int) -> None:
        """Say which steps are over: what only this server has may have to be computed again."""
        held_back = [step for of, _, _, step in self._held_back if of == owner]
        settled = min([self.holdings[owner].settled, *held_back])
        before = self._settled.get(owner)
        if settled != before:
            self._settled[owner] = settled
            losses = self._losses_of(owner).between(before or 0, settled)
            self._tell("settled", owner=owner, step=settled, losses=losses)

    def _tell(self, kind: str, **fields: object) -> None:
        self.coordinator.send(*control(kind, start=self.start, **fields))

    def _losses_of(self, owner: int) -> Losses:
        parts = self.job.config.micro_batches
        return self._losses.setdefault(owner, Losses(parts, self.job.dtype))
