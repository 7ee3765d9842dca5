"""Fits of a run that outlive its process: finished ones as files, the others as checkpoints."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import jax
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from services.training.engine import EpochReport, FitResult
from services.training.engine.checkpoints import Checkpoints
from services.training.engine.standing import StandingStore
from services.training.runs.files import write_whole

Work = Callable[[StandingStore | None], FitResult]
"""Carries out a fit that keeps how far it has come, if it is told where."""

OnEpoch = Callable[[EpochReport], None]

FitOne = Callable[[int], FitResult]


class Fits(Protocol):
    """Carries out the fits of a run."""

    def fit(self, name: str, work: Work, on_epoch: OnEpoch) -> FitResult:
        """The result of the fit of that name; `on_epoch` hears epochs that `work` does not do."""
        ...

    def each(self, one: FitOne, count: int) -> list[FitResult]:
        """`one(0)`, `one(1)`, …, each of which asks for a fit, several at the same time."""
        ...


class FreshFits:
    """Carries out every fit and keeps nothing."""

    def each(self, one: FitOne, count: int) -> list[FitResult]:
        """On two threads."""
        return on_two_threads(one, count)

    def fit(self, name: str, work: Work, on_epoch: OnEpoch) -> FitResult:
        """Work."""
        del name, on_epoch
        return work(None)


class KeptFits:
    """Carries out a fit once, however often the process is killed.

    Args:
        folder: Where fits are kept.
        identity: Names what is trained and by which programs; what is kept under another identity
            is taken away.
        save_seconds: From one checkpoint of a fit to the next.
    """

    def __init__(self, folder: Path, identity: str, save_seconds: float) -> None:
        self._folder, self._identity, self._save_seconds = folder, identity, save_seconds
        named = folder / "identity"
        if not named.exists() or named.read_text(encoding="utf-8") != identity:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_whole(named, identity.encode())

    def each(self, one: FitOne, count: int) -> list[FitResult]:
        """On two threads."""
        return on_two_threads(one, count)

    def fit(self, name: str, work: Work, on_epoch: OnEpoch) -> FitResult:
        """Read the fit if it was finished, else go on from its last checkpoint."""
        finished, under_way = self._folder / f"{name}.safetensors", self._folder / name
        if finished.exists():
            result = _read(finished)
            for report in result.history:
                on_epoch(report)
            return result
        with Checkpoints(under_way, self._identity, self._save_seconds) as checkpoints:
            result = work(checkpoints)
        write_whole(finished, _bytes(result))
        shutil.rmtree(under_way, ignore_errors=True)
        return result


def on_two_threads(one: FitOne, count: int) -> list[FitResult]:
    """Results in their order; the first is fitted alone, so that the rest find its program.

    Fits are independent, so how the threads take turns changes no number.
    """
    first = one(0)
    with ThreadPoolExecutor(2) as pool:
        return [first, *pool.map(one, range(1, count))]


def _bytes(result: FitResult) -> bytes:
    rest = {
        "names": list(result.parameters),
        "history": [asdict(report) for report in result.history],
        "best_epoch": result.best_epoch,
        "steps_per_second": result.steps_per_second,
    }
    arrays = {name: np.asarray(value) for name, value in result.parameters.items()}
    return save(arrays, {"result": json.dumps(rest)})


def _read(file: Path) -> FitResult:
    with safe_open(file, "numpy") as stored:
        rest = json.loads(stored.metadata()["result"])
        parameters = {name: stored.get_tensor(name) for name in rest["names"]}
    history = tuple(EpochReport(**report) for report in rest["history"])
    placed = jax.device_put(parameters)
    return FitResult(placed, history, rest["best_epoch"], rest["steps_per_second"])
