import json
from datetime import UTC, datetime

import numpy as np
import pytest

from shared.dataset import (
    DatasetArrays,
    DatasetReader,
    DatasetWriter,
    FeatureColumn,
    FoldSpec,
    Manifest,
    Written,
)
from shared.errors import FailedPreconditionError

JUNE = datetime(2011, 6, 12, tzinfo=UTC)
MARCH = datetime(2011, 3, 14, tzinfo=UTC)
NAMES = ("orders_ever", "recency_days")


def arrays(users=(3, 3, 8), days=(MARCH, JUNE, JUNE), features=None) -> DatasetArrays:
    count = len(users)
    matrix = [[1, np.nan], [2, 0.5], [3, -0.0]][:count] if features is None else features
    return DatasetArrays(
        np.array(users, np.uint64),
        np.array([day.replace(tzinfo=None) for day in days], "datetime64[ms]"),
        np.ones(count, bool),
        np.array(matrix, np.float32).reshape(count, len(NAMES)),
        np.arange(count).astype(np.uint8) % 2,
        np.arange(count, dtype=np.int64) * 10,
    )


def manifest(written: Written) -> Manifest:
    return Manifest(
        name="datasets/a",
        purpose="training",
        predictions=("churn_90d",),
        features=tuple(FeatureColumn(name, name, "count", "orders") for name in NAMES),
        feature_set_version="f00d",
        as_ofs=(MARCH, JUNE),
        known_at=JUNE,
        horizon_days=90,
        time_zone="UTC",
        currency="GBP",
        eligible_rule="orders_ever >= 1",
        folds=(FoldSpec("final", (MARCH, JUNE), (), (324, 789)),),
        row_count=written.row_count,
        user_count=written.user_count,
        content_hash=written.content_hash,
        shards=written.shards,
        statistics=written.statistics,
        sql="SELECT 1",
        checks={"count": 3, "unique": 3},
    )


def write(folder, *parts: DatasetArrays) -> Manifest:
    with DatasetWriter(folder, NAMES) as writer:
        for part in parts:
            writer.append(part)
        return writer.finish(manifest)


def test_what_is_written_is_read_back(tmp_path):
    written = write(tmp_path / "a", arrays())
    reader = DatasetReader(tmp_path / "a")
    assert reader.manifest == written
    rows = reader.arrays()
    assert rows.user_keys.tolist() == [3, 3, 8]
    np.testing.assert_array_equal(
        rows.features, np.array([[1, np.nan], [2, 0.5], [3, 0]], np.float32)
    )
    assert rows.active is not None
    assert rows.active.tolist() == [0, 1, 0]
    assert reader.table().column_names == [
        "user_key",
        "as_of",
        "eligible",
        "features",
        "label_active",
        "label_spend_micros",
    ]


def test_rows_of_some_instants_are_read_in_order(tmp_path):
    write(tmp_path / "a", arrays())
    rows = DatasetReader(tmp_path / "a").arrays(as_ofs=[JUNE])
    assert rows.user_keys.tolist() == [3, 8]
    assert rows.features[:, 0].tolist() == [2, 3]


def test_the_hash_is_over_values_however_they_are_cut_into_shards(tmp_path):
    whole = write(tmp_path / "a", arrays())
    cut = write(tmp_path / "b", arrays().rows(slice(0, 2)), arrays().rows(slice(2, 3)))
    assert len(cut.shards) == 2
    assert cut.content_hash == whole.content_hash
    assert cut.user_count == whole.user_count == 2
    assert DatasetReader(tmp_path / "b").arrays().user_keys.tolist() == [3, 3, 8]


@pytest.mark.parametrize("column", ["user_keys", "eligible", "features", "active", "spend_micros"])
def test_a_change_of_any_value_changes_the_hash(tmp_path, column):
    before = write(tmp_path / "a", arrays())
    changed = arrays()
    values = getattr(changed, column)
    values[0] = 0 if values.dtype == bool else values[0] + 1
    assert write(tmp_path / "b", changed).content_hash != before.content_hash


def test_missing_values_and_zeros_of_any_bits_are_the_same(tmp_path):
    odd = np.array([0xFFC00001], np.uint32).view(np.float32)[0]
    other = arrays(features=[[1, odd], [2, 0.5], [3, 0.0]])
    assert write(tmp_path / "b", other).content_hash == write(tmp_path / "a", arrays()).content_hash


def test_statistics_leave_missing_values_out(tmp_path):
    statistics = write(tmp_path / "a", arrays()).statistics["recency_days"]
    assert (statistics.mean, statistics.std) == (0.25, 0.25)
    assert (statistics.min, statistics.max, statistics.missing) == (0.0, 0.5, 1)


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def fail(written: Written) -> Manifest:
        raise RuntimeError(written.content_hash)

    with DatasetWriter(tmp_path / "a", NAMES) as writer:
        writer.append(arrays())
        with pytest.raises(RuntimeError):
            writer.finish(fail)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_dataset_and_one_of_another_format_are_refused(tmp_path):
    with pytest.raises(FailedPreconditionError, match="build it again"):
        DatasetReader(tmp_path / "none")
    write(tmp_path / "a", arrays())
    path = tmp_path / "a" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 9}))
    with pytest.raises(FailedPreconditionError, match="dataset format 9"):
        DatasetReader(tmp_path / "a")


def test_an_empty_dataset_can_be_written_and_read(tmp_path):
    empty = arrays(users=(), days=())
    assert write(tmp_path / "a", empty).row_count == 0
    assert len(DatasetReader(tmp_path / "a").arrays()) == 0
