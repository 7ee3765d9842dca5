"""A whole run over small images: what it leaves, how well it does, and what it refuses."""

import json

import jax
import numpy as np
import pytest
from jax import export
from safetensors.numpy import load

from services.training.runs.config import from_yaml, to_yaml
from services.training.runs.image_answer import fit_temperature
from services.training.runs.image_config import ImageRunConfig
from services.training.runs.images import run_images
from shared.config.images import Augment, ImageTraining
from shared.dataset.images import ImageDatasetReader, ImageRows, write_images
from shared.errors import InvalidArgumentError, NotFoundError
from tests.support import pictures
from tests.support.compared import tells_again_what_was_judged
from tests.unit.training.conftest import Heard

SMALL = ImageRunConfig(
    seed=1,
    model={"type": "lenet5", "filters": [4, 6], "dense": [16, 12]},
    augment=Augment(shift=1),
    training=ImageTraining(epochs=6, batch_size=16, learning_rate=0.01, patience=3),
    bootstrap_samples=30,
)


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    images, labels = pictures.drawn(450)
    parts = np.repeat([0, 1, 2], 150).astype(np.int8)
    rows = ImageRows(images, labels.astype(np.int32), parts)
    return written(tmp_path_factory.mktemp("datasets") / "bars", rows)


def written(folder, rows):
    write_images(
        folder,
        rows,
        name="datasets/bars",
        predictions=("bars",),
        classes=("top", "middle", "bottom"),
        source_files={"train.npz": "00"},
    )
    return ImageDatasetReader(folder)


@pytest.fixture(scope="module")
def heard():
    return Heard()


@pytest.fixture(scope="module")
def result(bars, heard):
    return run_images(bars, "bars", SMALL, heard)


@pytest.fixture(scope="module")
def evaluation(result):
    return json.loads(result.files["evaluation.json"])


def test_it_learns_and_is_judged_on_the_test_part_with_standard_errors(evaluation):
    metrics = evaluation["metrics"]
    assert set(metrics) == {"model", "pixel_regression"}
    for name in metrics:
        assert set(metrics[name]) == {"accuracy", "macro_f1", "log_loss", "calibration_error"}
    assert metrics["model"]["accuracy"]["value"] > 0.9
    assert 0 <= metrics["model"]["accuracy"]["se"] < 0.05
    assert evaluation["parts"] == {"train": 150, "validation": 150, "test": 150}


def test_rows_that_were_kept_have_every_metric_of_the_evaluation(result, tmp_path):
    assert tells_again_what_was_judged(tmp_path, result)


def test_the_confusion_table_counts_every_test_image_and_agrees_with_recall(evaluation):
    table = np.array(evaluation["confusion"])
    assert table.sum(axis=1).tolist() == [50, 50, 50]
    share = np.diag(table) / table.sum(axis=1)
    told = [evaluation["recall"][name]["value"] for name in ("top", "middle", "bottom")]
    assert told == pytest.approx(share.tolist())
    accuracy = evaluation["metrics"]["model"]["accuracy"]["value"]
    assert np.trace(table) / 150 == pytest.approx(accuracy)


def test_with_shuffled_labels_images_are_named_no_better_than_by_chance(tmp_path):
    images, labels = pictures.drawn(450)
    mixed = np.random.default_rng(4).permutation(labels).astype(np.int32)
    parts = np.repeat([0, 1, 2], 150).astype(np.int8)
    reader = written(tmp_path / "mixed", ImageRows(images, mixed, parts))
    made = run_images(reader, "bars", SMALL, Heard())
    found = json.loads(made.files["evaluation.json"])["metrics"]["model"]["accuracy"]
    commonest = np.bincount(mixed[parts == 2]).max() / 150
    assert 1 / 3 - 3 * found["se"] <= found["value"] <= commonest + 3 * found["se"]


def test_losses_and_progress_are_reported_epoch_by_epoch(result, heard, evaluation):
    assert [loss.epoch for loss in heard.losses] == list(range(len(heard.losses)))
    assert {loss.fold for loss in heard.losses} == {"final"}
    assert len(evaluation["losses"]) == len(heard.losses)
    completed = [completed for completed, _, _ in heard.progresses]
    assert completed == sorted(completed)
    assert heard.progresses[-1] == (6, 6, "done")


def test_the_exported_program_answers_any_number_of_images_as_the_run_did(result, bars, evaluation):
    program = export.deserialize(bytearray(result.files["predict.jaxexport"]))
    assert set(program.platforms) == {"cpu", "cuda"}
    weights = load(result.files["weights.safetensors"])
    test = bars.part("test")
    said = np.asarray(jax.jit(program.call)(weights, test.images)["class_probabilities"])
    assert said.dtype == np.float32
    np.testing.assert_allclose(said.sum(axis=1), 1.0, atol=1e-6)
    accuracy = (said.argmax(axis=1) == test.labels).mean()
    assert accuracy == pytest.approx(evaluation["metrics"]["model"]["accuracy"]["value"])
    one = np.asarray(program.call(weights, test.images[:1])["class_probabilities"])
    np.testing.assert_allclose(one, said[:1], atol=1e-6)


def test_the_manifest_says_what_it_was_made_of_and_names_no_folder(result, bars):
    manifest = json.loads(json.dumps(result.manifest, allow_nan=False))
    assert manifest["dataset_hash"] == bars.manifest.content_hash
    assert manifest["classes"] == ["top", "middle", "bottom"]
    assert manifest["image_shape"] == [12, 12, 1]
    assert [layer["name"] for layer in manifest["layers"]][-1] == "heads"
    assert manifest["parameter_count"] == sum(
        each["parameter_count"] for each in manifest["layers"]
    )
    assert manifest["signature"]["predict"]["outputs"]["class_probabilities"]["shape"] == ["b", 3]


def test_the_model_card_tells_metrics_beside_the_baseline_and_each_class(result):
    card = result.files["model_card.md"].decode()
    assert "| metric | model | pixel regression |" in card
    assert "| accuracy | " in card
    assert "| middle | 50 | " in card
    assert "12 x 12 pixels and 1 channel is of" in card


def test_its_config_is_kept_and_read_back(result):
    assert from_yaml(result.files["config.yaml"].decode()) == SMALL
    assert from_yaml(to_yaml(ImageRunConfig())) == ImageRunConfig()


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ({"type": "mlp"}, InvalidArgumentError, "lack; use lenet5 or resnet50"),
        ({"type": "lenet5", "filters": [4, 6, 8]}, InvalidArgumentError, "a side of 1"),
        ({"type": "lenet6"}, NotFoundError, "use 'lenet5'"),
        ({"type": "lenet5", "filter": [4]}, InvalidArgumentError, "did you mean 'filters'"),
    ],
)
def test_a_model_that_does_not_fit_the_images_is_refused(bars, model, error, message):
    with pytest.raises(error, match=message):
        run_images(bars, "bars", ImageRunConfig(model=model), Heard())


def test_the_temperature_undoes_probabilities_that_are_too_sure():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 3))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(3, p=row) for row in honest])
    too_sure = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    assert fit_temperature(too_sure, labels) == pytest.approx(3.0, rel=0.1)
    assert fit_temperature(honest, labels) == pytest.approx(1.0, rel=0.1)
