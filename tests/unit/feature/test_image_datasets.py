"""Datasets of images over a real channel: what is built, and what is refused with its place."""

import numpy as np
import pyarrow as pa
import pytest

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2 as pb
from oriel.feature.v1 import feature_pb2_grpc as rpc
from services.feature.main import FeatureSettings, build
from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings
from shared.dataset import DatasetReader
from shared.dataset.images import PARTS, ImageDatasetReader
from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from shared.rpc import connect, from_status, serve
from tests.support import pictures


@pytest.fixture(scope="module")
def served(engine, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    workspace = WorkspaceSettings(pseudonym_key=DEMO_PSEUDONYM_KEY)
    service = build(FeatureSettings(Home(home), workspace), engine)
    with serve([service], "127.0.0.1:0") as server, connect(server.address) as channel:
        yield rpc.FeatureServiceStub(channel)


@pytest.fixture
def build_from(served, request):
    """Build a dataset of a folder and return it as it ended."""

    def run(folder, *, text=None, request_id=""):
        asked = pb.CreateDatasetRequest(
            prediction_files=[text or pictures.question(folder)],
            purpose=pb.DATASET_PURPOSE_TRAINING,
            request_id=request_id or f"{request.node.name}/{folder}",
        )
        name = served.CreateDataset(asked).dataset.name
        watch = served.WatchDataset(pb.WatchDatasetRequest(name=name))
        return [answer.dataset for answer in watch][-1]

    return run


def failure(dataset):
    assert dataset.state == common_pb2.STATE_FAILED
    return from_status(dataset.error)


def test_a_folder_of_arrays_becomes_a_dataset_of_three_parts(build_from, tmp_path):
    dataset = build_from(pictures.write_npz(tmp_path / "bars"))
    assert dataset.state == common_pb2.STATE_SUCCEEDED, dataset.error
    assert (dataset.row_count, list(dataset.predictions)) == (300, ["bars"])
    assert dataset.progress.completed_count == dataset.progress.total_count == 300
    reader = ImageDatasetReader(dataset.uri)
    manifest = reader.manifest
    assert manifest.content_hash == dataset.content_hash
    assert (manifest.shape, manifest.classes) == ((12, 12, 1), ("0", "1", "2"))
    assert manifest.counts == {"train": (72,) * 3, "validation": (8,) * 3, "test": (20,) * 3}
    assert set(manifest.source_files) == {"train.npz", "test.npz"}
    test = reader.part("test")
    images, labels = pictures.drawn(60, seed=1)
    np.testing.assert_array_equal(test.images, images)
    np.testing.assert_array_equal(test.labels, labels)
    train = reader.part("train").images.astype(np.float64)
    assert manifest.statistics[0].mean == pytest.approx(train.mean())
    assert manifest.statistics[0].std == pytest.approx(train.std())


def test_encoded_images_become_the_same_dataset_as_their_arrays(build_from, tmp_path):
    pictures.write_npz(tmp_path / "arrays")
    for number, (name, count) in enumerate((("train", 240), ("test_a", 60))):
        images, labels = pictures.drawn(count, seed=number)
        pictures.write_parquet(tmp_path / "encoded" / f"{name}.parquet", images, labels)
    one, other = build_from(tmp_path / "arrays"), build_from(tmp_path / "encoded")
    assert one.content_hash == other.content_hash


def test_colour_images_keep_their_channels(build_from, tmp_path):
    images, labels = pictures.drawn(60, channels=3)
    pictures.write_parquet(tmp_path / "colour" / "train.parquet", images, labels)
    reader = ImageDatasetReader(build_from(tmp_path / "colour").uri)
    assert reader.manifest.shape == (12, 12, 3)
    everything = np.concatenate([reader.part(part).images for part in PARTS])
    assert sorted(map(bytes, everything)) == sorted(map(bytes, images))


def test_without_a_test_file_some_training_images_judge(build_from, tmp_path):
    dataset = build_from(pictures.write_npz(tmp_path / "bars", test=0))
    counts = ImageDatasetReader(dataset.uri).manifest.counts
    assert counts == {"train": (60,) * 3, "validation": (7,) * 3, "test": (13,) * 3}


def test_the_same_request_is_the_same_dataset_and_another_has_the_same_bytes(build_from, tmp_path):
    folder = pictures.write_npz(tmp_path / "bars")
    one = build_from(folder, request_id="images-1")
    assert build_from(folder, request_id="images-1") == one
    other = build_from(folder, request_id="images-2")
    assert other.name != one.name
    assert other.content_hash == one.content_hash


def test_classes_get_the_names_of_the_prediction_file(build_from, tmp_path):
    folder = pictures.write_npz(tmp_path / "bars")
    text = pictures.question(folder).replace("image_class}", "image_class, classes: [a, b, c]}")
    assert ImageDatasetReader(build_from(folder, text=text).uri).manifest.classes == tuple("abc")


def test_a_dataset_of_images_is_not_read_as_one_of_users(build_from, tmp_path):
    dataset = build_from(pictures.write_npz(tmp_path / "bars"))
    with pytest.raises(FailedPreconditionError, match="of images, not of users"):
        DatasetReader(dataset.uri)


def broken_npz(folder, **arrays):
    folder.mkdir()
    images, labels = pictures.drawn(60)
    np.savez(folder / "train.npz", **{"images": images, "labels": labels, **arrays})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((60, 12, 12))}, r"train\.npz, images: must be uint8 .* not float64"),
        ({"images": np.zeros((60, 144), np.uint8)}, r"must be uint8 .*\[60, 144\]"),
        ({"labels": np.zeros(59, int)}, r"train\.npz, labels: has shape \[59\] for 60 images"),
        ({"labels": np.zeros(60)}, r"labels: must be whole numbers, not float64"),
        ({"labels": np.r_[np.zeros(59, int), -1]}, r"train\.npz, row 59, label: is -1"),
        ({"labels": np.zeros(60, int)}, "classes is 1, at least 2 needed"),
        (
            {"labels": np.r_[np.zeros(55, int), np.ones(5, int)]},
            "images_of_class_1 is 4, at least 10 needed",
        ),
    ],
)
def test_wrong_arrays_fail_with_file_row_and_field(build_from, tmp_path, arrays, message):
    broken_npz(tmp_path / "broken", **arrays)
    error = failure(build_from(tmp_path / "broken"))
    with pytest.raises(type(error), match=message):
        raise error


def test_a_label_that_is_not_in_the_named_classes_is_told(build_from, tmp_path):
    folder = pictures.write_npz(tmp_path / "bars")
    text = pictures.question(folder).replace("image_class}", "image_class, classes: [a, b]}")
    error = failure(build_from(folder, text=text))
    assert "train.npz, row 2, label: is 2; labels go from 0 to 1, as target.classes" in str(error)


def test_a_label_met_in_test_files_alone_is_told(build_from, tmp_path):
    folder = pictures.write_npz(tmp_path / "bars")
    images, _ = pictures.drawn(3)
    np.savez(folder / "test.npz", images=images, labels=[0, 1, 3])
    assert "test.npz, row 2, label: is 3; labels go from 0 to 2" in str(failure(build_from(folder)))


def test_images_of_another_size_are_told_across_files_and_rows(build_from, tmp_path):
    folder = pictures.write_npz(tmp_path / "bars")
    np.savez(folder / "test.npz", images=np.zeros((3, 12, 10), np.uint8), labels=[0, 1, 2])
    message = str(failure(build_from(folder)))
    assert "test.npz, row 0, images: 12 x 10 pixels of 1 channel where" in message
    images, labels = pictures.drawn(60)
    rows = [*(pictures.encoded(image) for image in images[1:]), pictures.encoded(images[0, :8])]
    pictures.write_parquet(tmp_path / "cut" / "train.parquet", images, labels, png=rows)
    message = str(failure(build_from(tmp_path / "cut")))
    assert "train.parquet, row 59, png: 8 x 12 pixels" in message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (lambda rows: {"png": [*rows[:7], b"no image", *rows[8:]]}, "row 7, png: is no image"),
        (lambda rows: {"png": [*rows[:7], rows[7][:60], *rows[8:]]}, "row 7, png: is no image"),
        (lambda rows: {"png": [*rows[:7], None, *rows[8:]]}, "row 7, png: is missing"),
        (
            lambda rows: {
                "png": [*rows[:7], pictures.encoded(np.zeros((12, 12), "u2")), *rows[8:]]
            },
            "row 7, png: has pixels of kind I;16",
        ),
        (lambda rows: {"label": pa.array([*range(59), None])}, "row 59, label: is missing"),
        (lambda rows: {"label": ["cat"] * 60}, "label: must be whole numbers, not string"),
        (lambda rows: {"jpeg": rows}, "must have one column of encoded images as binary, not 2"),
    ],
)
def test_wrong_encoded_images_fail_with_file_row_and_field(build_from, tmp_path, columns, message):
    images, labels = pictures.drawn(60)
    rows = [pictures.encoded(image) for image in images]
    pictures.write_parquet(tmp_path / "bad" / "train.parquet", images, labels, **columns(rows))
    error = failure(build_from(tmp_path / "bad"))
    assert "train.parquet" in str(error)
    assert message in str(error)


@pytest.mark.parametrize("name", ["train.npz", "train.parquet"])
def test_a_file_that_is_something_else_is_told(build_from, tmp_path, name):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / name).write_bytes(b"something else")
    assert f"{name}" in str(failure(build_from(tmp_path / "odd")))


def test_a_missing_array_is_named_beside_those_there_are(build_from, tmp_path):
    (tmp_path / "odd").mkdir()
    np.savez(tmp_path / "odd" / "train.npz", pictures=np.zeros(3))
    assert "labels: there is no such array; there are pictures" in str(
        failure(build_from(tmp_path / "odd"))
    )


def test_a_request_that_cannot_be_met_is_refused_at_once(served, build_from, tmp_path):
    with pytest.raises(NotFoundError, match=r"no folder .*--data"):
        build_from(tmp_path / "nothing")
    with pytest.raises(NotFoundError, match=r"holds no train\*"):
        build_from(tmp_path)
    with pytest.raises(InvalidArgumentError, match="relative"):
        build_from("bars")
    text = pictures.question(pictures.write_npz(tmp_path / "bars"))
    with pytest.raises(InvalidArgumentError, match="stands alone"):
        served.CreateDataset(
            pb.CreateDatasetRequest(
                prediction_files=[text, text], purpose=pb.DATASET_PURPOSE_TRAINING
            )
        )
    with pytest.raises(InvalidArgumentError, match="for training only"):
        served.CreateDataset(
            pb.CreateDatasetRequest(prediction_files=[text], purpose=pb.DATASET_PURPOSE_SCORING)
        )
    timed = pb.CreateDatasetRequest(prediction_files=[text], purpose=pb.DATASET_PURPOSE_TRAINING)
    timed.as_of_time.GetCurrentTime()
    with pytest.raises(InvalidArgumentError, match="a file with a source has no such time"):
        served.CreateDataset(timed)
