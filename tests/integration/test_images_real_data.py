"""Real digits, photographs and flowers: read as they come, and a thin slice of digits learned."""

import json
from pathlib import Path

import numpy as np
import pytest

from services.feature.adapters.image_folder import ImageFolder
from services.feature.domain.image_parts import fingerprints
from services.feature.usecases.build_images import build_images
from services.training.runs.image_config import ImageRunConfig
from services.training.runs.images import run_images
from shared.config.images import ImagePrediction, ImageTraining, parse_image_prediction
from shared.config.prediction import shipped_text
from shared.dataset.images import PARTS, ImageDatasetReader
from tests.unit.training.conftest import Heard

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
REASON = "the real data sets are not beside the checkout (../shared/data)"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not (DATA / "mnist").is_dir(), reason=REASON),
]


class Unwatched:
    """Work that nobody watches or stops."""

    def progress(self, *_):
        """Nobody hears."""

    def raise_if_cancelled(self):
        """Nobody asks."""


def test_a_slice_of_the_digits_is_learned_far_better_than_by_chance(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    for name, count in (("train", 3000), ("test_a", 1000)):
        with np.load(DATA / "mnist" / f"{name}.npz") as arrays:
            images, labels = arrays["images"][:count], arrays["labels"][:count]
        np.savez(folder / f"{name}.npz", images=images, labels=labels)
    question = ImagePrediction(name="digits", images=str(folder))
    out = tmp_path / "dataset"
    build_images("datasets/digits", question, ImageFolder(folder), out, Unwatched())
    reader = ImageDatasetReader(out)
    assert [reader.manifest.part_count(part) for part in PARTS] == [2699, 301, 1000]
    config = ImageRunConfig(training=ImageTraining(epochs=3, batch_size=32), bootstrap_samples=20)
    result = run_images(reader, "digits", config, Heard())
    metrics = json.loads(result.files["evaluation.json"])["metrics"]
    accuracy = metrics["model"]["accuracy"]["value"]
    assert accuracy > 0.9
    assert accuracy > metrics["pixel_regression"]["accuracy"]["value"]


def test_flowers_without_a_test_file_are_parted_by_what_they_show(tmp_path):
    question = parse_image_prediction(shipped_text("flowers"))
    source = ImageFolder(DATA / "flowers")
    manifest = build_images("datasets/f", question, source, tmp_path / "f", Unwatched())
    assert manifest.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert manifest.shape == (64, 64, 3)
    assert [manifest.part_count(part) for part in PARTS] == [2201, 245, 489]
    reader = ImageDatasetReader(tmp_path / "f")
    train, test = (set(fingerprints(reader.part(part).images)) for part in ("train", "test"))
    assert not train & test


def test_photographs_stored_as_jpeg_are_decoded():
    source = ImageFolder(DATA / "cifar10")
    assert source.row_count() == 55_000
    block = next(source.blocks())
    assert block.images.shape[1:] == (32, 32, 3)
    assert 100 < block.images.mean() < 140
    assert set(block.labels) == set(range(10))
