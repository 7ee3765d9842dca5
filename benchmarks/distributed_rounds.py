"""Rounds in turns between groups of processes, some of which have several ways to run."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.training_rounds import Answer, Running

SGD = {
    "kind": "sgd",
    "learning_rate": 0.01,
    "schedule": "constant",
    "warmup_share": 0.0,
    "weight_decay": 0.0,
    "clip_norm": None,
}
"""Of our orders; the peers have the same."""


@dataclass(frozen=True)
class Entry:
    """A contestant as results name it, and what it is asked for."""

    name: str
    running: Running
    request: Mapping[str, str] = field(default_factory=dict)


def in_turns(entries: Sequence[Entry], rounds: int, steps: int) -> dict[str, list[Answer]]:
    """One round of so many steps each in turn, so that all share one machine state."""
    answers: dict[str, list[Answer]] = {each.name: [] for each in entries}
    for number in range(rounds):
        for each in entries:
            answers[each.name].append(
                each.running.round(number=number, steps=steps, **each.request)
            )
    return answers


def medians(rounds: Mapping[str, Sequence[Answer]]) -> dict[str, float]:
    """Median seconds a step of each contestant."""
    return {
        name: float(statistics.median(answer["seconds"] for answer in answers))
        for name, answers in rounds.items()
    }


def fastest(found: Mapping[str, float], peer: str) -> float:
    """Seconds of the peer's fastest way; its ways are `peer` and a word."""
    return min(seconds for name, seconds in found.items() if name.rpartition(" ")[0] == peer)


def shown(title: str, rounds: Mapping[str, Sequence[Answer]]) -> None:
    """Print what each took."""
    for name, seconds in medians(rounds).items():
        said = rounds[name][-1].get("schedule", "")
        print(f"{title}: {name} {1e3 * seconds:.1f} ms a step {said}", flush=True)
