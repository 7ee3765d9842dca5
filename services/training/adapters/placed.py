"""Fits of a run carried out by a training group instead of by the run's own process."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from safetensors.numpy import load_file

from services.training.adapters.group import Message, NodeGroup, Nodes
from services.training.engine import EpochReport, FitResult, Pace
from services.training.engine.standing import StandingStore
from services.training.runs.folder import RunFolder
from services.training.runs.kept import Fits, OnEpoch, Work
from services.training.runs.recipes import order_of


class PlacedFits:
    """Carries out each fit by a group of processes, one fit at a time.

    Args:
        fits: Keeps finished fits.
        folder: The run that orders them.
        nodes: The processes of a group.
        save_seconds: From one checkpoint of a group to the next.
        on_pace: Hears about once a second how fast the fit under way goes.
    """

    def __init__(
        self,
        fits: Fits,
        folder: RunFolder,
        nodes: Nodes,
        save_seconds: float,
        on_pace: Callable[[Pace], None],
    ) -> None:
        self._fits, self._folder, self._nodes = fits, folder, nodes
        self._save_seconds, self._on_pace = save_seconds, on_pace
        self._one_at_a_time = threading.Lock()

    def fit(self, name: str, work: Work, on_epoch: OnEpoch) -> FitResult:
        """The result of the fit of that name, made anew on every node from the run's folder."""
        del work

        def place(_: StandingStore | None) -> FitResult:
            with self._one_at_a_time:
                return self._carry_out(name, on_epoch)

        return self._fits.fit(name, place, on_epoch)

    def _carry_out(self, name: str, on_epoch: OnEpoch) -> FitResult:
        sharing = {"owners": self._nodes.servers, "schedule": "auto"}
        order = order_of(self._folder.path, name, self._nodes.workers, sharing)
        group = NodeGroup(
            self._folder.checkpoints_path / f"{name}-group",
            self._nodes,
            save_seconds=self._save_seconds,
        )
        group.run(order, _Listener(on_epoch, self._on_pace))
        return read_result(group.result_path)


def read_result(folder: Path) -> FitResult:
    """What a coordinator left."""
    said = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    history = tuple(EpochReport(**report) for report in said["history"])
    weights: dict[str, Any] = load_file(folder / "weights.safetensors")
    placed = jax.device_put(weights)
    return FitResult(placed, history, said["best_epoch"], said["steps_per_second"])


class _Listener:
    """Turns what the coordinator says into epochs and speed, each told once."""

    def __init__(self, on_epoch: OnEpoch, on_pace: Callable[[Pace], None]) -> None:
        self._on_epoch, self._on_pace = on_epoch, on_pace
        self._epochs = 0

    def __call__(self, message: Message) -> None:
        if "epoch" in message:
            report = EpochReport(**message["epoch"])
            # A coordinator that was replaced tells again of what came before its checkpoint.
            if report.epoch >= self._epochs:
                self._epochs = report.epoch + 1
                self._on_epoch(report)
        elif "pace" in message:
            self._on_pace(Pace(**message["pace"]))
