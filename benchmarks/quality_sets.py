"""Real shops as rows: imported and built by Oriel's own services, one dataset a shop."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import ROOT
from oriel.common.v1 import common_pb2
from oriel.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from services.feature.adapters.history import EventHistory
from services.feature.domain.question import question_of
from services.feature.usecases.build import DatasetBuilder, Order
from services.ingestion import main as ingestion
from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings
from shared.config.prediction import shipped_text
from shared.dataset import DatasetReader
from shared.rpc import connect, serve
from shared.warehouse import migrate, open_embedded

DATA = ROOT.parent / "shared" / "data"
QUESTIONS = ("churn_90d", "segment_90d", "value_90d")
ZONE = "UTC"
ENDS = {
    "online_retail": ("events.parquet", datetime(2011, 9, 10, tzinfo=UTC)),
    "online_retail_ii_uk": ("events.parquet", datetime(2011, 9, 10, tzinfo=UTC)),
    "cdnow": ("transactions.parquet", datetime(1997, 12, 31, tzinfo=UTC)),
}
"""Each shop's file, and where its events end."""


@contextmanager
def shop(name: str, questions: Sequence[str] = QUESTIONS) -> Iterator[DatasetReader]:
    """Build the training dataset of all that is known of a shop, in a folder of its own."""
    file, end = ENDS[name]
    with tempfile.TemporaryDirectory(prefix="oriel-quality-") as folder:
        home = Home(Path(folder))
        workspace = WorkspaceSettings(pseudonym_key=DEMO_PSEUDONYM_KEY, time_zone=ZONE)
        with open_embedded(home.warehouse_path) as warehouse:
            migrate(warehouse)
            service = ingestion.build(ingestion.IngestionSettings(home, workspace), warehouse)
            with serve([service], "127.0.0.1:0") as server, connect(server.address) as channel:
                _import(ingestion_pb2_grpc.IngestionServiceStub(channel), DATA / name / file)
            builder = DatasetBuilder(EventHistory(warehouse, ZONE), ZONE, workspace.currency)
            question = question_of([shipped_text(each) for each in questions])
            order = Order(f"datasets/{name}", "training", question, end, end)
            builder.build(order, Path(folder) / "dataset", _Quiet())
        yield DatasetReader(Path(folder) / "dataset")


def _import(stub: ingestion_pb2_grpc.IngestionServiceStub, path: Path) -> None:
    request = ingestion_pb2.CreateImportRequest(uri=str(path), request_id="quality")
    made = getattr(stub.CreateImport(request), "import")
    watch = stub.WatchImport(ingestion_pb2.WatchImportRequest(name=made.name))
    last = [getattr(answer, "import") for answer in watch][-1]
    if last.state != common_pb2.STATE_SUCCEEDED:
        raise SystemExit(f"{path} could not be imported: {last.error.message}")


class _Quiet:
    def progress(self, completed: int, total: int, unit: str, message: str = "") -> None:
        """Say nothing."""

    def raise_if_cancelled(self) -> None:
        """Go on."""
