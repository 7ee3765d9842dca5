"""Prediction files about images: where they lie, and how a model of them is trained.

>>> text = "name: a\\nsource: {images: digits}\\ntarget: {kind: image_class}\\n"
>>> question = parse_image_prediction(text)
>>> question.images, question.model["type"], question.training.optimizer
('digits', 'lenet5', 'adamw')
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from shared.config import strict
from shared.config.sources import source_of

OPTIMIZERS = Literal["adamw", "sgd", "lamb"]

_KEYS = ("name", "source", "target", "model", "augment", "training")
_REQUIRED = ("name", "source", "target")
_OF_USERS = ("horizon", "as_of", "eligible", "folds", "features")
_MOST_CLASSES = 1_000


@dataclass(frozen=True)
class Augment:
    """How training images are changed anew in each epoch; nothing is changed when left out.

    Args:
        shift: At most this many pixels up or down and left or right.
        flip: Whether half of the images are mirrored left to right.
        crop: Least share of each side that is kept and scaled back up; 1 keeps all.
    """

    shift: int = 0
    flip: bool = False
    crop: float = 1.0


@dataclass(frozen=True)
class ImageTraining:
    """How a model of images is fitted.

    Args:
        epochs: At most this many passes over the training images.
        batch_size: Images an optimizer step.
        learning_rate: Highest rate; it climbs at first and falls to zero along a cosine.
        optimizer: "adamw", "sgd" (with momentum) or "lamb".
        weight_decay: Pull of weights towards zero.
        patience: Epochs without a better loss on validation images before stopping; 0: never.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.002
    optimizer: OPTIMIZERS = "adamw"
    weight_decay: float = 0.01
    patience: int = 5


@dataclass(frozen=True, kw_only=True)
class ImagePrediction:
    """Which class is an image of?"""

    name: str
    images: str
    """Folder of the images; relative to where the data lies until `located` makes it absolute."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of their labels; none: they are called by their labels."""
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "lenet5"})
    augment: Augment = Augment()
    training: ImageTraining = ImageTraining()


def asks_of_images(text: str) -> bool:
    """Whether the text of a prediction file names a source of images.

    Raises:
        InvalidArgumentError: It is not YAML.
    """
    return source_of(text) == "images"


def parse_image_prediction(text: str) -> ImagePrediction:
    """Read the YAML text of a prediction file about images.

    Raises:
        InvalidArgumentError: Something is unknown, missing or out of range; the message names
            the field and what it may be.
    """
    content = strict.document(text)
    if isinstance(content, dict):
        _require_timeless(content)
    values = strict.mapping("", content, _KEYS)
    strict.require(values, _REQUIRED)
    target = strict.mapping("target", values["target"], ("kind", "classes"))
    if target.get("kind") != "image_class":
        raise strict.refusal("target.kind", "a file with a source asks for 'image_class'")
    optional: dict[str, Any] = {}
    if "model" in values:
        optional["model"] = strict.model(values["model"])
    if "augment" in values:
        optional["augment"] = _augment(values["augment"])
    if "training" in values:
        optional["training"] = _training(values["training"])
    return ImagePrediction(
        name=strict.name(values["name"]),
        images=_folder(values["source"]),
        classes=_classes(target.get("classes", [])),
        **optional,
    )


def located(text: str, data: Path, epochs: int | None = None) -> str:
    """Return the text with the folder of its images below `data` made absolute.

    Args:
        text: A prediction file about images.
        data: Absolute folder that the file's own is relative to.
        epochs: Instead of the file's, where not None.

    Raises:
        InvalidArgumentError: As `parse_image_prediction`.
    """
    question = parse_image_prediction(text)
    content = strict.document(text)
    content["source"] = {"images": str(data / question.images)}
    if epochs is not None:
        content["training"] = {**asdict(question.training), "epochs": epochs}
    changed = yaml.safe_dump(content, sort_keys=False)
    parse_image_prediction(changed)
    return changed


def _require_timeless(content: Mapping[Any, Any]) -> None:
    for key in _OF_USERS:
        if key in content:
            raise strict.refusal(
                key, "a file with a source has none: images have no users and no time; leave it out"
            )


def _folder(value: Any) -> str:
    folder = strict.mapping("source", value, ("images",)).get("images")
    if not isinstance(folder, str) or not folder:
        raise strict.refusal("source.images", "name the folder of the images, such as mnist")
    return folder


def _classes(value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if not is_list or len(value) > _MOST_CLASSES:
        raise strict.refusal(
            "target.classes",
            f"must be a list of at most {_MOST_CLASSES} names, in quotes if digits",
        )
    if len(set(value)) != len(value):
        raise strict.refusal("target.classes", "a class is named twice")
    if len(value) == 1:
        raise strict.refusal("target.classes", "name at least two classes, or none")
    return tuple(value)


def _augment(value: Any) -> Augment:
    values = strict.mapping("augment", value, tuple(each.name for each in fields(Augment)))
    default = Augment()
    flip = values.get("flip", default.flip)
    if not isinstance(flip, bool):
        raise strict.refusal("augment.flip", f"{flip!r} must be true or false")
    return Augment(
        shift=strict.whole("augment.shift", values.get("shift", default.shift), 0, 64),
        flip=flip,
        crop=strict.number("augment.crop", values.get("crop", default.crop), 0.1, 1.0),
    )


def _training(value: Any) -> ImageTraining:
    values = strict.mapping("training", value, tuple(each.name for each in fields(ImageTraining)))
    given = {**asdict(ImageTraining()), **values}
    choices = get_args(OPTIMIZERS)
    if given["optimizer"] not in choices:
        raise strict.refusal("training.optimizer", strict.unknown(str(given["optimizer"]), choices))
    return ImageTraining(
        epochs=strict.whole("training.epochs", given["epochs"], 1, 10_000),
        batch_size=strict.whole("training.batch_size", given["batch_size"], 1, 65_536),
        learning_rate=strict.number("training.learning_rate", given["learning_rate"], 1e-7, 100.0),
        optimizer=given["optimizer"],
        weight_decay=strict.number("training.weight_decay", given["weight_decay"], 0.0, 10.0),
        patience=strict.whole("training.patience", given["patience"], 0, 10_000),
    )
