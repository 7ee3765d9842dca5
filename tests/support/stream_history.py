"""Breaks what stores events from a bus, again and again, and counts what is lost and doubled.

`python -m tests.support.stream_history --seed 1 --faults 20` prints a row a fault and exits 1 where
an acknowledged event is missing, stored twice or not accounted for.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.bus import BusSettings, Message
from shared.bus.cluster import Cluster
from shared.bus.topics import DECLARATION, parse_topics
from shared.bus.writer import KafkaWriter
from shared.errors import DomainError
from shared.warehouse import Warehouse, WarehouseQueryError, connect, migrate
from tests.support.ingester_process import PASSWORD, SESSION_SECONDS
from tests.support.kafka_server import KafkaServer
from tests.support.native_front import USER

_ROOT = Path(__file__).resolve().parents[2]
_MALFORMED, _DUPLICATED, _LATE = 0.01, 0.01, 0.05
_USERS = 200
_PATIENCE_SECONDS = 60.0
_ANSWER = "SELECT sum(read_count) AS read_count FROM stream_positions FINAL"


@dataclass
class Sent:
    """What was acknowledged by the bus."""

    ids: list[str] = field(default_factory=list)
    message_count: int = 0
    malformed_count: int = 0


@dataclass(frozen=True)
class Verdict:
    """What the warehouse holds of what was sent."""

    sent: int
    read: int
    lost: int
    doubled: int
    rejected_missing: int
    recoveries: Sequence[tuple[str, float]]

    @property
    def is_exact(self) -> bool:
        """Whether nothing is lost, doubled or unaccounted for."""
        return (self.lost, self.doubled, self.rejected_missing) == (0, 0, 0) and (
            self.sent == self.read
        )


class Sender:
    """Sends events at a steady pace until it is told to stop."""

    def __init__(self, bus: BusSettings, seed: int, events_per_second: int) -> None:
        self.sent = Sent()
        self._bus, self._random, self._pace = bus, random.Random(seed), events_per_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def finish(self) -> None:
        """Return once all that was sent is acknowledged."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            writer = KafkaWriter(self._bus)
            while not self._stopping.is_set():
                for _ in range(self._pace // 20):
                    self._send(writer)
                self._stopping.wait(0.05)
            writer.flush()
            writer.close()
        except DomainError as error:
            self.failure = error

    def _send(self, writer: KafkaWriter) -> None:
        sent, chance = self.sent, self._random.random()
        sent.message_count += 1
        user = self._random.randrange(_USERS)
        topic = self._bus.name("events.v1")
        if chance < _MALFORMED:
            sent.malformed_count += 1
            writer.send(Message(topic, f"u{user}".encode(), b'{"type": "track", '))
            return
        if chance < _MALFORMED + _DUPLICATED and sent.ids:
            number = self._random.randrange(max(0, len(sent.ids) - 2_000), len(sent.ids))
        else:
            number = len(sent.ids)
            sent.ids.append(f"m{number}")
        is_late = number % round(1 / _LATE) == 0
        event = {
            "type": "track",
            "event": "Seen",
            "messageId": f"m{number}",
            "userId": f"u{number % _USERS}",
            "timestamp": "2024-01-01T00:00:00Z" if is_late else "2024-02-01T00:00:00Z",
        }
        key = f"u{number % _USERS}".encode()
        writer.send(Message(topic, key, json.dumps(event).encode()))


class Stage:
    """A broker, a warehouse and two members that store events, each in processes of their own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._random = folder, random.Random(seed)
        self.kafka = KafkaServer(folder / "kafka")
        self.kafka.start()
        self.bus = BusSettings((self.kafka.address,))
        with Cluster(self.bus) as cluster:
            cluster.apply(parse_topics(DECLARATION.read_text(encoding="utf-8")))
        self._front_port = 0
        self._start_front()
        self.warehouse: Warehouse = connect(
            "127.0.0.1", self._front_port, USER, PASSWORD, "default"
        )
        migrate(self.warehouse)
        self._log = (folder / "members.log").open("ab")
        self._members = [self._member(), self._member()]

    def read_count(self) -> int:
        """Return how many messages are accounted for in the warehouse."""
        return int(self.warehouse.query(_ANSWER)["read_count"][0].as_py())

    def kill_member(self) -> None:
        """Kill -9 a member and start another."""
        place = self._random.randrange(len(self._members))
        self._members[place].kill()
        self._members[place].wait()
        self._members[place] = self._member()

    def stop_member(self) -> None:
        """Let a member sleep until others have its partitions, then wake it."""
        member = self._random.choice(self._members)
        member.send_signal(signal.SIGSTOP)
        time.sleep(2 * SESSION_SECONDS)
        member.send_signal(signal.SIGCONT)

    def kill_broker(self) -> None:
        """Kill -9 the broker and start it again on its data."""
        self.kafka.kill()
        self.kafka.start()

    def kill_warehouse(self) -> None:
        """Kill -9 the warehouse and start it again on its data."""
        self._front.kill()
        self._front.wait()
        self._start_front()

    def slow_warehouse(self) -> None:
        """Let the warehouse answer nothing for a while."""
        self._front.send_signal(signal.SIGSTOP)
        time.sleep(2 * SESSION_SECONDS)
        self._front.send_signal(signal.SIGCONT)

    def storm(self) -> None:
        """Let a third member come and go."""
        for _ in range(2):
            third = self._member()
            time.sleep(2.0)
            third.terminate()
            third.wait()

    def close(self) -> None:
        """End everything."""
        for member in self._members:
            member.terminate()
        for member in self._members:
            member.wait()
        self._log.close()
        self.warehouse.close(0)
        self._front.kill()
        self._front.wait()
        self.kafka.kill()

    def _member(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.ingester_process"]
        return subprocess.Popen(
            [
                *command,
                *("--bus", self.kafka.address, "--prefix", self.bus.prefix),
                *("--warehouse-port", str(self._front_port)),
                *("--vault", str(self._folder / "vault.sqlite")),
            ],
            cwd=_ROOT,
            stdout=self._log,
            stderr=self._log,
        )

    def _start_front(self) -> None:
        command = [sys.executable, "-m", "tests.support.native_front"]
        folder = ["--folder", str(self._folder / "warehouse"), "--password", PASSWORD]
        self._front = subprocess.Popen(
            [*command, *folder, "--port", str(self._front_port)],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
        )
        assert self._front.stdout is not None
        self._front_port = int(self._front.stdout.readline())


FAULTS: dict[str, Callable[[Stage], None]] = {
    "kill -9 member": Stage.kill_member,
    "stop member": Stage.stop_member,
    "kill -9 broker": Stage.kill_broker,
    "kill -9 warehouse": Stage.kill_warehouse,
    "slow warehouse": Stage.slow_warehouse,
    "rebalance storm": Stage.storm,
}


def play(stage: Stage, faults: Sequence[str], seed: int, events_per_second: int) -> Verdict:
    """Send events while things break; return what became of them."""
    sender, rng = Sender(stage.bus, seed, events_per_second), random.Random(seed)
    sender.start()
    recoveries = []
    for name in faults:
        _wait_for_more(stage)
        time.sleep(rng.random())
        FAULTS[name](stage)
        recoveries.append((name, _wait_for_more(stage)))
    sender.finish()
    if sender.failure is not None:
        raise sender.failure
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while stage.read_count() < sender.sent.message_count and time.monotonic() < deadline:
        time.sleep(0.1)
    return _judged(stage, sender.sent, recoveries)


def _judged(stage: Stage, sent: Sent, recoveries: Sequence[tuple[str, float]]) -> Verdict:
    stored = stage.warehouse.query("SELECT message_id FROM events")["message_id"].to_pylist()
    rejected = stage.warehouse.query(
        "SELECT count() AS letters, uniqExact(rejection_id) AS places FROM events_rejected"
    ).to_pylist()[0]
    return Verdict(
        sent=sent.message_count,
        read=stage.read_count(),
        lost=len(set(sent.ids) - set(stored)),
        doubled=len(stored) - len(set(stored)) + rejected["letters"] - rejected["places"],
        rejected_missing=sent.malformed_count - rejected["places"],
        recoveries=recoveries,
    )


def _wait_for_more(stage: Stage) -> float:
    """Return the seconds until more is stored than now."""
    start, before = time.monotonic(), -1
    while (waited := time.monotonic() - start) < _PATIENCE_SECONDS:
        try:
            count = stage.read_count()
        except (DomainError, WarehouseQueryError):
            count = before
        if before >= 0 and count > before:
            return waited
        before = count if before < 0 else before
        time.sleep(0.05)
    return waited


def main() -> int:
    """Play the history that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=list(FAULTS), help="these, in this order")
    parser.add_argument("--pace", type=int, default=1_000, help="events a second")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rng = random.Random(arguments.seed)
    chosen = arguments.only or rng.choices(list(FAULTS), k=arguments.faults)
    with tempfile.TemporaryDirectory(prefix="oriel-history-") as folder:
        stage = Stage(Path(folder), arguments.seed)
        try:
            verdict = play(stage, chosen, arguments.seed, arguments.pace)
        finally:
            stage.close()
            log = (Path(folder) / "members.log").read_text(errors="replace")
    for name, seconds in verdict.recoveries:
        sys.stdout.write(f"{name:<20} {seconds:6.1f} s\n")
    sys.stdout.write(
        f"sent {verdict.sent} read {verdict.read} lost {verdict.lost} doubled {verdict.doubled} "
        f"rejected missing {verdict.rejected_missing}\n"
    )
    if not verdict.is_exact:
        sys.stdout.write(log[-6_000:])
    return 0 if verdict.is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
