"""Real histories through import and dataset build, against sums made by hand from the files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2, feature_pb2_grpc
from oriel.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from services.feature.main import FeatureSettings
from services.feature.main import build as build_feature
from services.ingestion.main import IngestionSettings
from services.ingestion.main import build as build_ingestion
from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings
from shared.config.prediction import shipped_text
from shared.dataset import DatasetReader
from shared.names import user_key
from shared.rpc import connect, serve
from shared.warehouse import migrate, open_embedded

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
HORIZON = timedelta(days=90)


def online_retail(path: Path) -> pd.DataFrame:
    """Return what was bought: user, time, spend."""
    lines = pd.read_parquet(path)
    lines = lines[(lines.quantity > 0) & (lines.unit_price > 0) & lines.customer_id.notna()]
    if lines.invoice.dtype != "int64":
        lines = lines[~lines.invoice.astype(str).str.startswith("C")]
    spend = lines.quantity * (lines.unit_price * 1e6).round().astype("int64")
    return pd.DataFrame({"user": lines.customer_id, "time": lines.timestamp, "spend": spend})


def cdnow(path: Path) -> pd.DataFrame:
    """Return what was bought: user, time, spend."""
    rows = pd.read_parquet(path)
    rows = rows[rows.amount > 0]
    spend = (rows.amount * 1e6).round().astype("int64")
    return pd.DataFrame({"user": rows.customer_id, "time": rows.date, "spend": spend})


SETS = {
    "online_retail": (online_retail, "events", datetime(2011, 9, 10, tzinfo=UTC), 324.17, 789.75),
    "cdnow": (cdnow, "transactions", datetime(1997, 12, 31, tzinfo=UTC), 27.98, 63.48),
}


@pytest.fixture(scope="module", params=list(SETS))
def built(request, tmp_path_factory):
    """Import a real file and build both datasets of it."""
    read, file, as_of, *limits = SETS[request.param]
    path = DATA / request.param / f"{file}.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    home = Home(tmp_path_factory.mktemp(request.param))
    workspace = WorkspaceSettings(pseudonym_key=DEMO_PSEUDONYM_KEY, currency="GBP")
    with open_embedded(home.warehouse_path) as warehouse:
        migrate(warehouse)
        services = [
            build_ingestion(IngestionSettings(home, workspace), warehouse),
            build_feature(FeatureSettings(home, workspace), warehouse),
        ]
        with serve(services, "127.0.0.1:0") as server, connect(server.address) as channel:
            take_in(ingestion_pb2_grpc.IngestionServiceStub(channel), path)
            stub = feature_pb2_grpc.FeatureServiceStub(channel)
            readers = [
                DatasetReader(dataset(stub, purpose, as_of).uri)
                for purpose in (
                    feature_pb2.DATASET_PURPOSE_TRAINING,
                    feature_pb2.DATASET_PURPOSE_SCORING,
                )
            ]
    return (*readers, read(path), as_of, limits)


def take_in(stub, path: Path) -> None:
    made = getattr(stub.CreateImport(ingestion_pb2.CreateImportRequest(uri=str(path))), "import")
    watch = stub.WatchImport(ingestion_pb2.WatchImportRequest(name=made.name))
    last = [getattr(answer, "import") for answer in watch][-1]
    assert last.state == common_pb2.STATE_SUCCEEDED, last.error


def dataset(stub, purpose, as_of: datetime) -> feature_pb2.Dataset:
    moment = Timestamp()
    moment.FromDatetime(as_of)
    texts = [shipped_text(name) for name in ("churn_90d", "segment_90d", "value_90d")]
    request = feature_pb2.CreateDatasetRequest(
        prediction_files=texts, purpose=purpose, as_of_time=moment
    )
    name = stub.CreateDataset(request).dataset.name
    watch = stub.WatchDataset(feature_pb2.WatchDatasetRequest(name=name))
    last = [answer.dataset for answer in watch][-1]
    assert last.state == common_pb2.STATE_SUCCEEDED, last.error
    return last


def spend_between(bought: pd.DataFrame, start: datetime, end: datetime) -> pd.Series:
    times = pd.to_datetime(bought.time)
    times = times.dt.tz_localize("UTC") if times.dt.tz is None else times
    chosen = bought[(times >= start) & (times < end)]
    return chosen.groupby("user").spend.sum()


@pytest.mark.data
def test_segment_limits_are_the_published_thirds(built):
    training, _, _, _, limits = built
    found = [micros / 1e6 for micros in training.manifest.fold("final").segment_limits_micros]
    np.testing.assert_allclose(found, limits, atol=0.005)


@pytest.mark.data
def test_labels_of_every_instant_are_the_sums_of_the_file(built):
    training, _, bought, as_of, _ = built
    assert training.manifest.as_ofs[-1] == as_of - HORIZON
    for instant in training.manifest.as_ofs:
        rows = training.arrays([instant])
        before = set(spend_between(bought, datetime(1970, 1, 1, tzinfo=UTC), instant).index)
        after = spend_between(bought, instant, instant + HORIZON)
        known = after[after.index.isin(before)]
        eligible = rows.spend_micros[rows.eligible]
        assert rows.eligible.sum() == len(before)
        assert int(eligible.sum()) == int(known.sum())
        assert int((eligible > 0).sum()) == len(known)


@pytest.mark.data
def test_what_customers_spent_and_ordered_is_the_files_own(built):
    _, scoring, bought, as_of, _ = built
    rows = scoring.arrays()
    ever = spend_between(bought, datetime(1970, 1, 1, tzinfo=UTC), as_of)
    column = scoring.manifest.feature_names.index("gross_ever")
    spent = dict(zip(rows.user_keys.tolist(), rows.features[:, column].tolist(), strict=True))
    for user, micros in list(ever.items())[::97]:
        key = user_key(DEMO_PSEUDONYM_KEY, str(int(float(user))))
        assert spent[key] == pytest.approx(micros / 1e6, rel=1e-6)
    assert rows.eligible.sum() == len(ever)
    assert scoring.manifest.checks["count"] == scoring.manifest.checks["unique"]
