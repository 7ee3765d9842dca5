"""The folder of one run: what the worker is told, what it says, and what it leaves."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from services.training.runs.config import AnyRunConfig, from_yaml, to_yaml
from services.training.runs.files import write_whole
from services.training.runs.result import RunResult


@dataclass(frozen=True)
class Order:
    """What the worker is asked for, besides the config.

    Args:
        model: Name without its collection.
        dataset_folder: Where the dataset lies.
        dataset_hash: Of its content.
        has_layer_times: Whether each layer is timed.
        workers: Processes that compute, in each group; 0 when the run's own process does.
        servers: Processes that keep the parameters.
        groups: Groups of workers that carry out a fit each at the same time.
        on_ray: Whether actors of a Ray cluster carry these processes.
        search: By which plan settings are chosen first; empty where the config has them.
    """

    model: str
    dataset_folder: str
    dataset_hash: str
    has_layer_times: bool = False
    workers: int = 0
    servers: int = 0
    groups: int = 1
    on_ray: bool = False
    search: Mapping[str, Any] = field(default_factory=dict)


class RunFolder:
    """Files of a run; the manifest is written last, so a folder that has it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def log_file(self) -> Path:
        """What the worker and its libraries printed."""
        return self.path / "log.txt"

    @property
    def progress_file(self) -> Path:
        """One JSON line per message of the worker."""
        return self.path / "progress.jsonl"

    @property
    def error_file(self) -> Path:
        """Why the worker gave up, where it could say so."""
        return self.path / "error.json"

    @property
    def checkpoints_path(self) -> Path:
        """Where fits are kept until the result is there."""
        return self.path / "checkpoints"

    def prepare(self, order: Order, config: AnyRunConfig) -> None:
        """Write the order; what an earlier try left is taken away unless it is this very order."""
        self.path.mkdir(parents=True, exist_ok=True)
        wanted = json.dumps({**asdict(order), "config": to_yaml(config)}, indent=1)
        file = self._order_file
        is_same = file.exists() and file.read_text(encoding="utf-8") == wanted
        if not is_same:
            self._manifest_file.unlink(missing_ok=True)
            self._forget_fits()
        for file in (self.error_file, self.progress_file, self.log_file):
            file.unlink(missing_ok=True)
        write_whole(self._order_file, wanted.encode())
        write_whole(self.path / "config.yaml", to_yaml(config).encode())

    def order(self) -> tuple[Order, AnyRunConfig]:
        """What was written by `prepare`."""
        values = json.loads(self._order_file.read_text(encoding="utf-8"))
        config = from_yaml(values.pop("config"))
        return Order(**values), config

    def write(self, name: str, content: bytes) -> None:
        """Leave a file that is about the run and no part of its result."""
        write_whole(self.path / name, content)

    def identity(self) -> str:
        """Names the order and the programs that carry it out: fits of another are not gone on with.

        A new version of either may number, scale or sum differently.
        """
        parts = [self._order_file.read_text(encoding="utf-8"), version("oriel"), version("jax")]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def write_result(self, result: RunResult) -> None:
        """Leave the files of the version, the manifest last; the fits behind it are forgotten."""
        self._files_path.mkdir(exist_ok=True)
        for name, content in result.files.items():
            write_whole(self._files_path / name, content)
        write_whole(self.path / "evaluation.json", result.files["evaluation.json"])
        manifest = {"manifest": dict(result.manifest), "files": sorted(result.files)}
        write_whole(self._manifest_file, json.dumps(manifest, indent=1, sort_keys=True).encode())
        self._forget_fits()

    def result(self) -> RunResult | None:
        """What a worker left, or None while it is not complete."""
        if not self._manifest_file.exists():
            return None
        values: Mapping[str, Any] = json.loads(self._manifest_file.read_text(encoding="utf-8"))
        files = {name: (self._files_path / name).read_bytes() for name in values["files"]}
        return RunResult(files, values["manifest"])

    def log_end(self, characters: int = 2000) -> str:
        """The last of what was printed."""
        try:
            text = self.log_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return text[-characters:]

    def _forget_fits(self) -> None:
        shutil.rmtree(self.checkpoints_path, ignore_errors=True)

    @property
    def _order_file(self) -> Path:
        return self.path / "order.json"

    @property
    def _files_path(self) -> Path:
        return self.path / "artefacts"

    @property
    def _manifest_file(self) -> Path:
        return self.path / "result.json"
