"""A dataset's folder while it is written: it is there whole or not at all."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from shared.dataset.manifest import MANIFEST_FILE, to_json


class Staging:
    """Takes shards in order, then a manifest; nothing shows under the folder's name before that.

    Args:
        folder: Where the dataset shall be; one that is there is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder.with_name(f".{folder.name}.partial")
        self._shards: list[str] = []
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def shards(self) -> tuple[str, ...]:
        """Names of the shards so far."""
        return tuple(self._shards)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write one shard."""
        shard = f"shard-{len(self._shards):05d}.arrow"
        with (
            pa.OSFile(str(self._partial / shard), "wb") as sink,
            pa.ipc.new_file(sink, batch.schema) as file,
        ):
            file.write_batch(batch)
        self._shards.append(shard)

    def finish(self, manifest: Any) -> None:
        """Write the manifest, a dataclass, and let the dataset appear."""
        (self._partial / MANIFEST_FILE).write_text(to_json(manifest), encoding="utf-8")
        for path in self._partial.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(self._folder, ignore_errors=True)
        self._partial.rename(self._folder)


def read_batches(folder: Path, shards: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of all shards, in order."""
    for shard in shards:
        with pa.memory_map(str(folder / shard)) as source:
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
