"""The work of a run: order, worker, publication."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.training.adapters.supervisor import Message, Supervisor
from services.training.runs.config import AnyRunConfig, to_yaml
from services.training.runs.folder import Order, RunFolder
from services.training.runs.losses import Loss, curves
from shared.jobs import JobContext
from shared.registry import ModelRegistry


class Training:
    """Carries out runs.

    Args:
        runs_path: Folder of run folders.
        supervisor: Runs workers.
        registry: Where versions are published.
    """

    def __init__(self, runs_path: Path, supervisor: Supervisor, registry: ModelRegistry) -> None:
        self._runs_path = runs_path
        self._supervisor = supervisor
        self._registry = registry

    def carry_out(
        self, order: Order, config: AnyRunConfig, context: JobContext
    ) -> Mapping[str, Any]:
        """Train and publish; a run that a crash cut off after training is only published.

        The folder is named by what was ordered, so the same order finds its own work again.
        """
        folder = RunFolder(self._runs_path / _identifier(order, config))
        context.update(uri=str(folder.path))
        folder.prepare(order, config)
        result = folder.result()
        if result is None:
            self._supervisor.run(folder, _Listener(context), lambda: context.is_cancelled)
            result = folder.result()
            assert result is not None
        version = self._registry.publish(order.model, result.files, result.manifest)
        evaluation = json.loads(result.files["evaluation.json"])
        return {"model_version": version.name, "losses": evaluation["losses"]}


class _Listener:
    """Turns the worker's messages into the job's progress and result."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._losses: list[Loss] = []
        self._completed, self._total = 0, 0
        self._doing, self._speed = "", ""

    def __call__(self, message: Message) -> None:
        values = dict(message)
        kind = values.pop("kind")
        if kind == "layers":
            self._context.update(layers=values["layers"])
            return
        if kind == "progress":
            self._completed, self._total = values["completed"], values["total"]
            if values["message"] != self._doing:
                self._doing, self._speed = values["message"], ""
        else:
            speed = {each: values.pop(each) for each in ("steps_per_second", "samples_per_second")}
            self._speed = f", {speed['steps_per_second']:,.1f} steps/s"
            if kind == "epoch":
                self._losses.append(Loss(**values))
                self._context.update(losses=curves(self._losses))
            self._context.update(**speed)
        words = self._doing + self._speed
        self._context.progress(self._completed, self._total, "epochs", words)


def _identifier(order: Order, config: AnyRunConfig) -> str:
    text = json.dumps([asdict(order), to_yaml(config)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
