"""Fits of a run as orders, from which every node of a training group makes the same fit."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from services.training.engine import FitConfig
from services.training.engine.ps.orders import Material, Recipe
from services.training.runs import heads
from services.training.runs.config import AnyRunConfig, RunConfig
from services.training.runs.ensemble import EnsembleRows, ensemble_rows
from services.training.runs.folder import RunFolder
from services.training.runs.image_answer import objective
from services.training.runs.image_config import ImageRunConfig, image_layers
from services.training.runs.image_rows import as_arrays
from services.training.runs.pretraining import pretrained
from services.training.runs.rows import read_rows
from shared.dataset import DatasetReader
from shared.dataset.images import ImageDatasetReader

FIT_OF_RUN = "fit_of_run"


def order_of(run: Path, name: str, workers: int, sharing: Mapping[str, Any]) -> dict[str, Any]:
    """The order of one fit of a run.

    A batch is computed in at least one part a worker; the parts decide the bits, as on one device
    with as many micro-batches.

    Args:
        run: The run folder; every node has to be able to read it and the dataset it names.
        name: As `run_training` and `run_images` call their fits.
        workers: How many compute.
        sharing: How nodes work together; fields of `Sharing`.
    """
    order, config = RunFolder(run).order()
    if isinstance(config, ImageRunConfig):
        fit, seed = config.fit_config(), config.seed
    else:
        rows, member = _member(DatasetReader(order.dataset_folder), name, config)
        fit, seed = rows.fit_config, rows.seed(member)
    return {
        "recipe": FIT_OF_RUN,
        "arguments": {"run": str(run), "name": name},
        "fit": {**asdict(fit), "micro_batches": parts_for(fit, workers)},
        "seed": seed,
        "sharing": dict(sharing),
    }


def fit_of_run(run: str, name: str) -> Material:
    """What the fit of that name is fitted to."""
    order, config = RunFolder(Path(run)).order()
    if isinstance(config, ImageRunConfig):
        reader = ImageDatasetReader(order.dataset_folder)
        layers = image_layers(config, reader.manifest.shape, len(reader.manifest.classes))
        train, valid = as_arrays(reader.part("train"), reader.part("validation"), config)
        return Material(layers, objective, train, valid)
    rows, member = _member(DatasetReader(order.dataset_folder), name, config)
    return Material(
        rows.layers,
        heads.objective,
        rows.train(member),
        rows.valid(member),
        partial(pretrained, rows, member),
    )


RECIPES: Mapping[str, Recipe] = {FIT_OF_RUN: fit_of_run}


def parts_for(fit: FitConfig, workers: int) -> int:
    """The least number of micro-batches that divides the batch and gives each worker one.

    >>> parts_for(FitConfig(batch_size=128), 3)
    4
    """
    fitting = (n for n in range(workers, fit.batch_size + 1) if fit.batch_size % n == 0)
    return next(fitting, fit.batch_size)


def _member(reader: DatasetReader, name: str, config: AnyRunConfig) -> tuple[EnsembleRows, int]:
    assert isinstance(config, RunConfig), "other runs are refused before they are placed"
    fold_name, _, number = name.rpartition("-")
    fold = reader.manifest.fold(fold_name)
    rows = read_rows(reader, fold.train_as_ofs)
    return ensemble_rows(rows, config), int(number)
