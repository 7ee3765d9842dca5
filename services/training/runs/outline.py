"""What a run would train and on how many rows, found without training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.training.models import LayerList
from services.training.runs.click_config import ClickRunConfig, click_layers
from services.training.runs.config import AnyRunConfig, RunConfig
from services.training.runs.heads import HEADS
from services.training.runs.image_config import ImageRunConfig, image_layers
from services.training.runs.product_config import ProductRunConfig, product_layers
from services.training.runs.scaling import fit_scaling
from services.training.runs.table_config import TableRunConfig, table_layers
from services.training.runs.tables import fit_reading
from services.training.runs.unfolding import network_layers
from services.training.runs.wait_curve import HEADS as WAIT_HEADS
from shared.dataset import DatasetReader
from shared.dataset.clicks import ClickDatasetReader
from shared.dataset.images import PARTS, ImageDatasetReader
from shared.dataset.products import ProductDatasetReader
from shared.dataset.tables import TableDatasetReader
from shared.features import step_columns


@dataclass(frozen=True)
class Outline:
    """What would be trained.

    Attributes:
        parts: Rows by what they are for, in the order in which they are used.
        classes: Classes told apart; none for users.
        layers: Of each network.
        members: Networks in the ensemble.
    """

    parts: Mapping[str, int]
    classes: tuple[str, ...]
    layers: LayerList
    members: int


def outline(folder: Path, config: AnyRunConfig) -> Outline:
    """Look at a finished training dataset.

    Raises:
        DomainError: The dataset or the model is of another kind than the prediction file.
    """
    if isinstance(config, ImageRunConfig):
        return _of_images(folder, config)
    if isinstance(config, TableRunConfig):
        return _of_table(folder, config)
    if isinstance(config, ProductRunConfig):
        return _of_products(folder, config)
    if isinstance(config, ClickRunConfig):
        return _of_clicks(folder, config)
    return _of_users(folder, config)


def _of_images(folder: Path, config: ImageRunConfig) -> Outline:
    dataset = ImageDatasetReader(folder).manifest
    layers = image_layers(config, dataset.shape, len(dataset.classes))
    parts = {part: dataset.part_count(part) for part in PARTS}
    return Outline(parts, dataset.classes, layers, 1)


def _of_table(folder: Path, config: TableRunConfig) -> Outline:
    reader = TableDatasetReader(folder)
    dataset = reader.manifest
    layers = table_layers(config, fit_reading(reader.rows(), dataset).size)
    parts = {f"fold {n}": rows for n, (rows, _) in enumerate(dataset.fold_counts, 1)}
    if dataset.test_count:
        parts["test files"] = dataset.test_count
    classes = (f"{dataset.target} is {dataset.positive}", "it is not")
    return Outline(parts, classes, layers, config.members)


def _of_products(folder: Path, config: ProductRunConfig) -> Outline:
    dataset = ProductDatasetReader(folder).manifest
    layers = product_layers(config, dataset.candidate_count, len(dataset.features))
    return Outline({"rows": dataset.row_count}, (), layers, 1)


def _of_clicks(folder: Path, config: ClickRunConfig) -> Outline:
    dataset = ClickDatasetReader(folder).manifest
    layers = click_layers(config, dataset.candidate_count, len(dataset.features))
    counts = [block.row_count for block in dataset.blocks]
    parts = {"evaluation train": sum(counts[:-1]), "evaluation test": counts[-1]}
    parts["final train"] = sum(counts[1:])
    if dataset.test:
        parts["test files"] = dataset.test.row_count
    return Outline(parts, (), layers, 1)


def _of_users(folder: Path, config: RunConfig) -> Outline:
    reader = DatasetReader(folder)
    earlier, last = (reader.manifest.fold(name) for name in ("evaluation", "final"))
    fitted = reader.arrays(last.train_as_ofs)
    steps = step_columns(reader.manifest.feature_names)
    scaling = fit_scaling(np.asarray(fitted.features[fitted.eligible]), steps)
    parts = {
        "evaluation train": int(reader.arrays(earlier.train_as_ofs).eligible.sum()),
        "evaluation test": int(reader.arrays(earlier.test_as_ofs).eligible.sum()),
        "final train": int(fitted.eligible.sum()),
    }
    heads = WAIT_HEADS if config.awaited else HEADS
    layers = network_layers(config.model_config(), scaling, steps, heads)
    return Outline(parts, (), layers, config.members)
