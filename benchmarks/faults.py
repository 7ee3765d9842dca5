"""What training by parameter servers costs when nodes are lost, slow, or share servers.

Twenty seeded moments at which a real process is killed or stopped; every training has to finish
with the bits of the one that nobody touched.
"""

import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults_bytes import server_bytes
from benchmarks.faults_sharing import BOUND, isolation, slow_worker
from benchmarks.machine import ROOT, commit, keep, report
from benchmarks.readme import write_section
from services.training.adapters.group import NodeGroup, Nodes, SharedServers

KEPT = ROOT / "benchmarks" / "results" / "faults.json"

SEED = 1
SILENCE_SECONDS = 4.0
SAVE_SECONDS = 0.5

ORDER: Mapping[str, Any] = {
    "recipe": "dense",
    "arguments": {"widths": [20, 64, 64, 5], "rows": 320},
    "fit": {
        "batch_size": 32,
        "micro_batches": 2,
        "epochs": 60,
        "optimizer": {"kind": "adamw", "clip_norm": None},
    },
    "sharing": {"owners": 2},
    "seed": 4,
}
LAST_STEP = 450
MOST_DELAY = 0.02
"""Seconds; a step takes less, so nodes are hit at any point of one."""

KILLED, STOPPED = int(signal.SIGKILL), int(signal.SIGSTOP)
DONE = {KILLED: "kill -9 of", STOPPED: "SIGSTOP of"}
NAMES = {
    "worker": "a worker",
    "server": "a server",
    "coordinator": "the coordinator",
    "both": "a node that is both",
}

VICTIMS = (
    *[("worker", KILLED), ("server", KILLED), ("coordinator", KILLED)] * 4,
    *[("both", KILLED), ("worker", STOPPED), ("server", STOPPED)] * 2,
    *[("both", STOPPED), ("coordinator", STOPPED)],
)
"""Roles, and what is done to one of the nodes that have them; "both" is worker and server."""


@dataclass(frozen=True)
class Moment:
    """Who is hit, how, and when: so many seconds after a step was over."""

    role: str
    signal: int
    step: int
    delay: float
    which: int


@dataclass(frozen=True)
class Outcome:
    """What a training gave: every step's loss that is known, every epoch's, and the weights."""

    losses: Sequence[float]
    epochs: Sequence[float]
    weights: bytes

    def is_same(self, other: "Outcome") -> bool:
        """Whether both have the same bits; a coordinator that was replaced knows later losses."""
        count = min(len(self.losses), len(other.losses))
        return (
            list(self.losses)[-count:] == list(other.losses)[-count:]
            and self.epochs == other.epochs
            and self.weights == other.weights
        )


def moments(seed: int) -> list[Moment]:
    """Twenty of them, in an order drawn by the seed."""
    rng = random.Random(seed)
    victims = rng.sample(VICTIMS, len(VICTIMS))
    return [
        Moment(*each, rng.randrange(20, LAST_STEP), rng.uniform(0.0, MOST_DELAY), rng.randrange(2))
        for each in victims
    ]


class Blow:
    """Hits a node at its moment, and notes how long training then paused.

    Args:
        moment: When and whom.
    """

    def __init__(self, moment: Moment | None) -> None:
        self._moment = moment
        self._has_hit = False
        self._newest, self._newest_at = -1, 0.0
        self.pause: float | None = None

    def __call__(self, message: Mapping[str, Any]) -> None:
        """Hear what the coordinator says."""
        step = message.get("settled")
        # A coordinator that was replaced goes back; what is done again is no progress.
        if step is None or self._moment is None or step <= self._newest:
            return
        now = time.perf_counter()
        if self._has_hit:
            self.pause = max(self.pause or 0.0, now - self._newest_at)
        self._newest, self._newest_at = step, now
        if not self._has_hit and step >= self._moment.step:
            victims = nodes_with(self._moment.role)
            time.sleep(self._moment.delay)
            victims[self._moment.which % len(victims)].send_signal(self._moment.signal)
            self._has_hit, self._newest_at = True, time.perf_counter()


def nodes_with(role: str) -> list[psutil.Process]:
    """Node processes of that role, in the order of their start."""
    found = psutil.Process().children(recursive=True)
    return sorted(
        (each for each in found if ["--role", role] == _role(each)), key=lambda p: p.create_time()
    )


def _role(process: psutil.Process) -> list[str]:
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    at = words.index("--role") if "--role" in words else len(words)
    return words[at : at + 2]


def train(
    folder: Path, servers: SharedServers | None, on_message: Callable[[Mapping[str, Any]], None]
) -> Outcome:
    """Train by two servers and two workers; without shared servers, two nodes that are both."""
    nodes = Nodes(workers=2, servers=2, groups=1 if servers is None else 2)
    group = NodeGroup(
        folder, nodes, servers, silence_seconds=SILENCE_SECONDS, save_seconds=SAVE_SECONDS
    )
    group.run(ORDER, on_message)
    said = json.loads((group.result_path / "outcome.json").read_text(encoding="utf-8"))
    weights = (group.result_path / "weights.safetensors").read_bytes()
    return Outcome(said["losses"], [each["train_loss"] for each in said["history"]], weights)


def campaign(chosen: Sequence[Moment]) -> Iterator[dict[str, Any]]:
    """Train once for each moment; what came of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with closing(SharedServers(folder, 2, SILENCE_SECONDS)) as servers:
            untouched = train(folder / "untouched", servers, Blow(None))
            for number, moment in enumerate(chosen):
                blow, started = Blow(moment), time.perf_counter()
                shared = None if moment.role == "both" else servers
                outcome = train(folder / f"moment{number}", shared, blow)
                yield {
                    **asdict(moment),
                    "recovery_seconds": blow.pause,
                    "is_same": outcome.is_same(untouched),
                    "seconds": time.perf_counter() - started,
                }


def main(arguments: Sequence[str] = ()) -> None:
    """Run the parts that are named, or all, and keep what they gave."""
    parts = json.loads(KEPT.read_text(encoding="utf-8"))["parts"] if KEPT.exists() else {}
    for name in arguments or PARTS:
        parts[name] = {"commit": commit(), "load": os.getloadavg()[0], "found": PARTS[name]()}
        keep("faults", {"parts": parts})
    if set(PARTS) <= set(parts):
        found = {name: part["found"] for name, part in parts.items()}
        write_section("faults", _table(found))


def _moments(quarter: int) -> list[dict[str, Any]]:
    found = []
    for each in campaign(moments(SEED)[5 * quarter : 5 * quarter + 5]):
        print(json.dumps(each), flush=True)
        found.append(each)
    return found


QUARTERS = [f"moments_{quarter}" for quarter in range(4)]
PARTS: Mapping[str, Callable[[], Any]] = {
    **{name: partial(_moments, quarter) for quarter, name in enumerate(QUARTERS)},
    "isolation": isolation,
    "slow_worker": partial(slow_worker, BOUND),
    "server_bytes": server_bytes,
}


def _table(found: Mapping[str, Any]) -> str:
    """Print every bar, and say it all in two tables."""
    hits = [hit for name in QUARTERS for hit in found[name]]
    lines = [
        "| what is done | times | same bits | recovery, s (median) | longest |",
        "|---|---|---|---|---|",
    ]
    for role, number in dict.fromkeys(VICTIMS):
        these = [hit for hit in hits if (hit["role"], hit["signal"]) == (role, number)]
        took = [hit["recovery_seconds"] for hit in these]
        same = sum(hit["is_same"] for hit in these)
        done, middle = f"{DONE[number]} {NAMES[role]}", statistics.median(took)
        lines.append(f"| {done} | {len(these)} | {same} | {middle:.2f} | {max(took):.2f} |")
    lines += ["", "| bar | needs | measured |", "|---|---|---|"]
    for name, value, need in _bars(hits, found):
        report(name, value, need)
        lines.append(f"| `{name}` | {need} | {value:.2f} |")
    return "\n".join(lines)


def _bars(
    hits: Sequence[Mapping[str, Any]], found: Mapping[str, Any]
) -> Iterator[tuple[str, float, str]]:
    yield "faults_same_bits", sum(hit["is_same"] for hit in hits) / len(hits), "1"
    killed = [hit["recovery_seconds"] for hit in hits if hit["signal"] == KILLED]
    yield "recovery_seconds_killed", statistics.median(killed), "no bar"
    slower = [each["before"] / each["after"] for each in found["isolation"]]
    yield "groups_isolation", statistics.median(slower), "at most 1.1"
    costs = [each["equal"] / each["slow"] for each in found["slow_worker"]]
    yield "slow_worker_bounded", statistics.median(costs), "less than 1.5"
    one = max(found["server_bytes"]["1"])
    for count in ("2", "4"):
        share = max(found["server_bytes"][count]) / one
        yield f"server_bytes_{count}", share, f"less than 1; evenly {1 / int(count)}"


if __name__ == "__main__":
    main(sys.argv[1:])
