"""The one question that some prediction files ask together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.config.clicks import ClickPrediction, parse_click_prediction
from shared.config.images import ImagePrediction, parse_image_prediction
from shared.config.prediction import Eligibility, PredictionFile, parse_prediction
from shared.config.product import ProductPrediction, parse_product_prediction
from shared.config.table import TablePrediction, parse_table_prediction
from shared.errors import InvalidArgumentError
from shared.features import Feature, select


@dataclass(frozen=True)
class Question:
    """What decides a dataset's rows and columns."""

    names: tuple[str, ...]
    eligible: Eligibility
    horizon_days: int
    every_days: int
    gap_days: int
    folds: str | int
    features: tuple[Feature, ...]
    awaited: str = ""
    """The event whose first time in the horizon is the label; empty where it is the spend."""


_SHARED: Mapping[str, Callable[[PredictionFile], object]] = {
    "target": lambda file: file.target.awaited,
    "eligible": lambda file: file.eligible,
    "horizon": lambda file: file.horizon,
    "as_of": lambda file: file.as_of,
    "folds": lambda file: file.folds,
    "features": lambda file: sorted(file.features),
}


def question_of(texts: Sequence[str]) -> Question:
    """Read prediction files that one dataset is to serve.

    Args:
        texts: Their YAML.

    Raises:
        InvalidArgumentError: There is none, one is wrong, or two differ in what they need.
    """
    if not texts:
        raise InvalidArgumentError(
            "prediction_files is empty; give at least one", reason="NO_PREDICTION_FILES"
        )
    files = [parse_prediction(text) for text in texts]
    first = files[0]
    for file in files[1:]:
        for key, read in _SHARED.items():
            if read(file) != read(first):
                raise InvalidArgumentError(
                    f"prediction files {first.name} and {file.name} differ in {key!r}; "
                    "one dataset serves only files that agree on it",
                    reason="PREDICTION_FILES_DIFFER",
                    field=key,
                    first=first.name,
                    second=file.name,
                )
    return Question(
        names=tuple(sorted(file.name for file in files)),
        eligible=first.eligible,
        horizon_days=first.horizon.days,
        every_days=first.as_of.every.days,
        gap_days=first.as_of.gap.days,
        folds=first.folds,
        features=select(first.features),
        awaited=first.target.awaited,
    )


def image_question_of(texts: Sequence[str]) -> ImagePrediction:
    """Read the one prediction file about images that a dataset is to serve.

    Raises:
        InvalidArgumentError: There are several, or it is wrong.
    """
    return parse_image_prediction(_alone(texts, "images"))


def table_question_of(texts: Sequence[str]) -> TablePrediction:
    """Read the one prediction file about a table or texts that a dataset is to serve.

    Raises:
        InvalidArgumentError: There are several, or it is wrong.
    """
    return parse_table_prediction(_alone(texts, "a table"))


def product_question_of(texts: Sequence[str]) -> ProductPrediction:
    """Read the one prediction file about products that a dataset is to serve.

    Raises:
        InvalidArgumentError: There are several, or it is wrong.
    """
    return parse_product_prediction(_alone(texts, "products"))


def click_question_of(texts: Sequence[str]) -> ClickPrediction:
    """Read the one prediction file about sessions of clicks that a dataset is to serve.

    Raises:
        InvalidArgumentError: There are several, or it is wrong.
    """
    return parse_click_prediction(_alone(texts, "sessions"))


def _alone(texts: Sequence[str], source: str) -> str:
    if len(texts) != 1:
        raise InvalidArgumentError(
            f"prediction_files: a file about {source} stands alone; send one request for each",
            reason="PREDICTION_FILES_DIFFER",
            field="source",
        )
    return texts[0]
