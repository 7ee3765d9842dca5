"""Checkpoints on disk through Orbax: asynchronous, atomic, readable by every runtime."""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np

from services.training.engine.fitting import EpochReport
from services.training.engine.standing import Standing
from shared.errors import FailedPreconditionError


class Checkpoints:
    """Standings of one fit in a folder of its own; the last two are kept.

    A fit that ends before the first save is due touches neither the folder nor Orbax.

    Args:
        folder: Made at the first save.
        identity: Names what is fitted: model, rows, config, seed. A folder that holds another
            fit's checkpoints is refused.
        every_seconds: From one save to the next.
        clock: Seconds.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._identity = folder.absolute(), identity
        self._every_seconds, self._clock = every_seconds, clock
        self._saved_at = clock()

    def is_due(self) -> bool:
        """Whether so many seconds have passed."""
        return self._clock() - self._saved_at >= self._every_seconds

    def save(self, standing: Standing) -> None:
        """Copy the arrays out of the device, then write in the background."""
        ocp = _orbax()
        # Copied, because the next step takes the state's own buffers while the writer reads.
        arrays = jax.tree.map(np.array, {"state": standing.state, "best": standing.best})
        place = {
            "identity": self._identity,
            "epoch": standing.epoch,
            "losses": list(standing.losses),
            "best_epoch": standing.best_epoch,
            "best_loss": repr(standing.best_loss),
            "history": [asdict(report) for report in standing.history],
        }
        self._manager.save(
            int(standing.state.step),
            args=ocp.args.Composite(
                arrays=ocp.args.StandardSave(arrays), place=ocp.args.JsonSave(place)
            ),
            force=True,
        )
        self._saved_at = self._clock()

    def latest(self, fresh: Standing) -> Standing | None:
        """The last whole checkpoint.

        Raises:
            FailedPreconditionError: The folder is another fit's.
        """
        if not self._folder.exists():
            return None
        step = self._manager.latest_step()
        if step is None:
            return None
        ocp = _orbax()
        template = jax.tree.map(np.array, {"state": fresh.state, "best": fresh.best})
        place = self._restore(step, place=ocp.args.JsonRestore())["place"]
        if place["identity"] != self._identity:
            raise FailedPreconditionError(
                "the checkpoints are of a fit with other rows, config or seed; "
                "use an empty folder, or start it as it was",
                reason="CHECKPOINT_OF_ANOTHER_FIT",
            )
        arrays = self._restore(step, arrays=ocp.args.StandardRestore(template))["arrays"]
        arrays = jax.device_put(arrays)
        return Standing(
            arrays["state"],
            arrays["best"],
            place["epoch"],
            tuple(place["losses"]),
            place["best_epoch"],
            float(place["best_loss"]),
            tuple(EpochReport(**report) for report in place["history"]),
        )

    def wait(self) -> None:
        """Return when the last save is on disk."""
        if "_manager" in vars(self):
            self._manager.wait_until_finished()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish writing and let go of the folder."""
        if "_manager" in vars(self):
            self._manager.close()

    @cached_property
    def _manager(self) -> Any:
        ocp = _orbax()
        return ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2,
                create=True,
                cleanup_tmp_directories=True,  # what a killed process was writing
            ),
            item_names=("arrays", "place"),
        )

    def _restore(self, step: int, **arguments: Any) -> Any:
        return self._manager.restore(step, args=_orbax().args.Composite(**arguments))


def _orbax() -> Any:
    """Loaded at the first save: it takes a third of a second, which short fits need not pay."""
    import orbax.checkpoint

    return orbax.checkpoint
