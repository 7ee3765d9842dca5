from pathlib import Path

import pytest
import yaml

from shared.config.images import (
    Augment,
    ImageTraining,
    asks_of_images,
    located,
    parse_image_prediction,
)
from shared.config.prediction import shipped_text
from shared.errors import InvalidArgumentError

DIGITS = """
name: digits
source: {images: digits}
target: {kind: image_class, classes: [zero, one]}
model: {type: lenet5}
augment: {shift: 2, flip: true, crop: 0.9}
training: {epochs: 3, batch_size: 32, learning_rate: 0.01, optimizer: sgd}
"""


@pytest.mark.parametrize("name", ["mnist", "cifar10", "flowers"])
def test_every_shipped_file_about_images_is_valid(name):
    assert asks_of_images(shipped_text(name))
    question = parse_image_prediction(shipped_text(name))
    assert (question.name, question.images) == (name, name)
    assert question.model["type"] == "lenet5"


def test_a_question_about_users_does_not_ask_of_images():
    assert not asks_of_images(shipped_text("churn_90d"))
    assert not asks_of_images("just words")


def test_every_key_is_read():
    question = parse_image_prediction(DIGITS)
    assert question.classes == ("zero", "one")
    assert question.augment == Augment(shift=2, flip=True, crop=0.9)
    assert question.training == ImageTraining(
        epochs=3, batch_size=32, learning_rate=0.01, optimizer="sgd"
    )


def test_what_is_left_out_has_a_simple_default():
    question = parse_image_prediction("name: a\nsource: {images: b}\ntarget: {kind: image_class}")
    assert question.augment == Augment()
    assert question.training == ImageTraining()
    assert question.model == {"type": "lenet5"}
    assert question.classes == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name: digits", "name: digits\nhorizon: 90d"), "horizon: .*no users and no time"),
        (("name: digits", "name: digits\nas_of: {every: 1d}"), "as_of: .*leave it out"),
        (("name: digits", "name: digits\neligible: x > 1"), "eligible: .*leave it out"),
        (("augment:", "augmnt:"), "did you mean 'augment'"),
        (("{images:", "{image:"), r"source\.image: .*did you mean 'images'"),
        (("images: digits", "images: 3"), "source.images: name the folder"),
        (("kind: image_class", "kind: churn"), "asks for 'image_class'"),
        (("classes: [zero, one]", "klasses: [a]"), r"target\.klasses.*did you mean 'classes'"),
        (("[zero, one]", "[0, 1]"), "in quotes if digits"),
        (("[zero, one]", "[zero, zero]"), "named twice"),
        (("[zero, one]", "[zero]"), "at least two classes"),
        (("shift: 2", "shfit: 2"), r"augment\.shfit.*did you mean 'shift'"),
        (("shift: 2", "shift: -1"), "whole number between 0 and 64"),
        (("flip: true", "flip: 1"), "augment.flip: 1 must be true or false"),
        (("crop: 0.9", "crop: 0"), "augment.crop: 0 must be a number between 0.1 and 1"),
        (("epochs: 3", "epoch: 3"), r"training\.epoch: .*did you mean 'epochs'"),
        (("epochs: 3", "epochs: 0"), "training.epochs: 0 must be a whole number between 1"),
        (("rate: 0.01", "rate: 1e-2"), "written like 0.001"),
        (("optimizer: sgd", "optimizer: adam"), "did you mean 'adamw'"),
        (("{type: lenet5}", "lenet5"), "mapping with a 'type'"),
        (("source: {images: digits}\n", ""), "source: it is required"),
        (("epochs: 3", "epochs: 3, epochs: 4"), "given twice"),
    ],
)
def test_a_mistake_is_refused_by_name_with_what_would_be_right(change, message):
    assert change[0] in DIGITS
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        parse_image_prediction(DIGITS.replace(*change))
    assert caught.value.reason == "PREDICTION_FILE_INVALID"


def test_the_folder_of_images_is_made_absolute_and_nothing_else_changes():
    text = located(DIGITS, Path("/srv/images"))
    assert yaml.safe_load(text) == {
        **yaml.safe_load(DIGITS),
        "source": {"images": "/srv/images/digits"},
    }
    assert located(text, Path("/elsewhere")) == text


def test_epochs_given_beside_the_file_count_and_are_checked_alike():
    assert parse_image_prediction(located(DIGITS, Path("/a"), epochs=7)).training.epochs == 7
    with pytest.raises(InvalidArgumentError, match=r"training\.epochs"):
        located(DIGITS, Path("/a"), epochs=0)
