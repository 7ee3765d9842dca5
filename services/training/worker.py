"""The worker process: `python -m services.training.worker RUN_DIR` trains what the folder orders.

It opens no warehouse and no network; it reads dataset shards and writes its run folder. Messages
go to stdout as JSON lines, everything else that is printed to stderr. It ends when stdin closes,
which the system does for a supervisor that dies, however it dies.
"""

import json
import os
import sys
import threading
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from services.training.orphans import end_with_parent

EXIT_REFUSED = 3
"""Exit code when error.json says why."""

_COMPILED = ".compiled"

_SAVE_SECONDS = 60.0  # to save what ResNet-50 stands at takes 1.5 seconds of one core


def main(arguments: list[str], save_seconds: float = _SAVE_SECONDS) -> int:
    """Train in the folder named and return the exit code.

    Args:
        arguments: The run folder.
        save_seconds: From one checkpoint of a fit to the next; what was done since is done again
            after a kill.
    """
    run_path = Path(arguments[0])
    channel = _take_stdout()
    threading.Thread(target=end_with_parent, daemon=True).start()

    # Imported here so that a supervisor's death is heeded while JAX is still loading.
    from services.training.adapters.actors import RayNodes
    from services.training.adapters.carriers import ThisMachine
    from services.training.adapters.group import Nodes
    from services.training.adapters.placed import PlacedFits
    from services.training.compiled import KEPT, CompiledPrograms
    from services.training.runs.click_config import ClickRunConfig
    from services.training.runs.clicks import run_clicks
    from services.training.runs.folder import RunFolder
    from services.training.runs.image_config import ImageRunConfig
    from services.training.runs.images import run_images
    from services.training.runs.kept import Fits, KeptFits
    from services.training.runs.product_config import ProductRunConfig
    from services.training.runs.products import run_products
    from services.training.runs.run import run_training
    from services.training.runs.table_config import TableRunConfig
    from services.training.runs.tables import run_table
    from services.training.runs.waits import run_waits
    from services.training.search.choose import choose_for_table, choose_for_users
    from shared.dataset import DatasetReader
    from shared.dataset.clicks import ClickDatasetReader
    from shared.dataset.images import ImageDatasetReader
    from shared.dataset.products import ProductDatasetReader
    from shared.dataset.tables import TableDatasetReader
    from shared.errors import DomainError

    folder = RunFolder(run_path)
    try:
        order, config = folder.order()
        is_alone = isinstance(config, ImageRunConfig | ProductRunConfig | ClickRunConfig)
        _share_the_cores(fits_at_once=1 if is_alone else 2)
        kept = os.environ.pop(KEPT, None)  # processes of this run would write into it directly
        programs = CompiledPrograms(run_path / _COMPILED, Path(kept) if kept else None)
        programs.begin()
        reporter = _Messages(channel, folder, order.has_layer_times)
        fits: Fits = KeptFits(folder.checkpoints_path, folder.identity(), save_seconds)
        with ExitStack() as stack:
            if order.workers:
                nodes = Nodes(order.workers, order.servers, order.groups)
                ray = stack.enter_context(RayNodes(nodes.count)) if order.on_ray else None
                carrier = ray or ThisMachine()
                placed = PlacedFits(fits, folder, nodes, save_seconds, reporter.pace, carrier)
                fits = stack.enter_context(placed)
            if isinstance(config, ImageRunConfig):
                images = ImageDatasetReader(order.dataset_folder)
                result = run_images(images, order.model, config, reporter, fits)
            elif isinstance(config, TableRunConfig):
                table = TableDatasetReader(order.dataset_folder)
                for_table = choose_for_table(table, config, order.search, folder, reporter)
                result = run_table(table, order.model, for_table.config, reporter, fits)
                result = for_table.told(result)
            elif isinstance(config, ProductRunConfig):
                pairs = ProductDatasetReader(order.dataset_folder)
                result = run_products(pairs, order.model, config, reporter, fits)
            elif isinstance(config, ClickRunConfig):
                clicks = ClickDatasetReader(order.dataset_folder)
                result = run_clicks(clicks, order.model, config, reporter, fits)
            else:
                reporter.progress(0, 2 * config.members * config.epochs, "reading the dataset")
                users = DatasetReader(order.dataset_folder)
                run = run_waits if config.awaited else run_training
                chosen = choose_for_users(users, config, order.search, folder, reporter)
                result = chosen.told(run(users, order.model, chosen.config, reporter, fits))
        folder.write_result(result)
        programs.end()
    except DomainError as error:
        traceback.print_exc()
        said = {
            "type": type(error).__name__,
            "reason": error.reason,
            "message": error.message,
            "metadata": error.metadata,
        }
        folder.error_file.write_text(json.dumps(said), encoding="utf-8")
        return EXIT_REFUSED
    return 0


class _Messages:
    """Tells the supervisor, and keeps the same lines in the run folder."""

    def __init__(self, channel: TextIO, folder: Any, has_layer_times: bool) -> None:
        self._channel, self._folder = channel, folder
        self._has_layer_times = has_layer_times
        self._kept = folder.progress_file.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def progress(self, completed: int, total: int, message: str) -> None:
        """Say how far the run has come, in epochs."""
        self._say(kind="progress", completed=completed, total=total, message=message)

    def epoch(self, loss: Any, report: Any) -> None:
        """Say the losses and the speed of an epoch."""
        self._say(
            kind="epoch",
            **vars(loss),
            steps_per_second=report.steps_per_second,
            samples_per_second=report.samples_per_second,
        )

    def pace(self, pace: Any) -> None:
        """Say how fast a fit goes at the moment."""
        self._say(kind="pace", **vars(pace))

    def fitted(self, sample: Any) -> None:
        """Time the layers, if that was ordered."""
        if not self._has_layer_times:
            return
        from services.training.runs.timing import timed, write_times

        times = timed(sample)
        write_times(times, self._folder.write)
        self._say(kind="layers", layers=[vars(time) for time in times])

    def _say(self, **message: Any) -> None:
        line = json.dumps(message) + "\n"
        with self._lock:  # members are fitted on two threads
            for stream in (self._kept, self._channel):
                stream.write(line)
                stream.flush()


def _take_stdout() -> TextIO:
    """Keep stdout for messages; whatever else prints there goes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _share_the_cores(fits_at_once: int) -> None:
    """Set XLA up before JAX's first computation, which is when it reads XLA_FLAGS."""
    if fits_at_once > 1:
        # Members share the cores; a fit that is alone takes all of them.
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
