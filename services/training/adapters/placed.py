"""Fits of a run carried out by a training group instead of by the run's own process."""

import json
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
from safetensors.numpy import load_file

from services.training.adapters.carriers import Carrier
from services.training.adapters.group import NodeGroup, Nodes, SharedServers
from services.training.adapters.processes import Message
from services.training.engine import EpochReport, FitResult, Pace
from services.training.engine.standing import StandingStore
from services.training.runs.folder import RunFolder
from services.training.runs.kept import FitOne, Fits, OnEpoch, Work
from services.training.runs.recipes import order_of


class PlacedFits:
    """Carries out each fit by a group of processes; as many at a time as there are groups.

    Several groups share their servers, which stay from fit to fit.

    Args:
        fits: Keeps finished fits.
        folder: The run that orders them.
        nodes: The processes of a run.
        save_seconds: From one checkpoint of a group to the next.
        on_pace: Hears about once a second how fast the fit under way goes.
        carrier: Starts the processes.
    """

    def __init__(
        self,
        fits: Fits,
        folder: RunFolder,
        nodes: Nodes,
        save_seconds: float,
        on_pace: Callable[[Pace], None],
        carrier: Carrier,
    ) -> None:
        self._fits, self._folder, self._nodes, self._carrier = fits, folder, nodes, carrier
        self._save_seconds, self._on_pace = save_seconds, on_pace
        self._servers: SharedServers | None = None
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(nodes.groups):
            self._free.put(number)

    def __enter__(self) -> Self:
        """Start what groups share."""
        if self._nodes.groups > 1:
            self._servers = SharedServers(
                self._folder.checkpoints_path, self._nodes.servers, carrier=self._carrier
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        if self._servers is not None:
            self._servers.close()

    def each(self, one: FitOne, count: int) -> list[FitResult]:
        """As many at the same time as there are groups."""
        with ThreadPoolExecutor(self._nodes.groups) as pool:
            return list(pool.map(one, range(count)))

    def fit(self, name: str, work: Work, on_epoch: OnEpoch) -> FitResult:
        """The result of the fit of that name, made anew on every node from the run's folder."""
        del work

        def place(_: StandingStore | None) -> FitResult:
            number = self._free.get()
            try:
                return self._carry_out(name, number, on_epoch)
            finally:
                self._free.put(number)

        return self._fits.fit(name, place, on_epoch)

    def _carry_out(self, name: str, number: int, on_epoch: OnEpoch) -> FitResult:
        sharing = {"owners": self._nodes.servers, "schedule": "auto"}
        order = order_of(self._folder.path, name, self._nodes.workers, sharing)
        group = NodeGroup(
            self._folder.checkpoints_path / f"{name}-group",
            self._nodes,
            self._servers,
            number,
            save_seconds=self._save_seconds,
            carrier=self._carrier,
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
