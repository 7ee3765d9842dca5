"""How good settings are: an ensemble fitted to each part and judged on rows it has not seen."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from services.training.engine import Fitter
from services.training.runs import judge, table_judge
from services.training.runs.comparing import MORE_IS_BETTER
from services.training.runs.config import RunConfig
from services.training.runs.ensemble import limits_of
from services.training.runs.heads import segments
from services.training.runs.kept import FreshFits
from services.training.runs.leaks import require_blind, require_purged
from services.training.runs.members import fit_members
from services.training.runs.networks import Listener
from services.training.runs.rows import Rows, read_rows
from services.training.runs.run import EVALUATION
from services.training.runs.table_config import TableRunConfig, table_layers
from services.training.runs.table_members import fit_table_members, objective
from services.training.runs.tables import fit_reading, require_own
from services.training.search.parts import Part, first_folds, parts_of_table, parts_of_users
from services.training.search.space import Params, with_params
from shared.dataset import DatasetReader
from shared.dataset.tables import TableDatasetReader, TableRows


class UserScores:
    """Scores settings on instants before the one that the run is judged on.

    Args:
        reader: A training dataset with an "evaluation" fold, whose judged instant is not read.
        config: All other choices of the run.
        metric: By which settings are chosen.
    """

    def __init__(self, reader: DatasetReader, config: RunConfig, metric: str) -> None:
        dataset = reader.manifest
        fold = dataset.fold(EVALUATION)
        require_purged(fold, dataset.horizon_days)
        self.rows = read_rows(reader, fold.train_as_ofs)
        require_blind(self.rows, dataset.feature_names)
        self._config, self._metric = config, metric
        self._horizon_days, self._limits = dataset.horizon_days, limits_of(fold)
        self.parts = parts_of_users(self.rows, dataset.horizon_days)

    def __call__(self, params: Params, seed: int) -> Iterator[float]:
        """The score of each part in turn; less is better."""
        config = replace(with_params(self._config, params), seed=seed)
        try:
            for part in self.parts.parts:
                yield self._score(config, part)
        finally:
            _forget_programs()

    def _score(self, config: RunConfig, part: Part) -> float:
        train, test = self.rows.where(part.train), self.rows.where(part.test)
        fitted = fit_members(train, self._limits, config, horizon_days=self._horizon_days)
        asked: Rows = test.where(test.eligible)
        classes = segments(asked.spend, self._limits)
        metrics = judge.metrics(judge.answers(fitted, asked), asked.spend, classes)
        return _less_is_better(self._metric, metrics[self._metric](np.ones(len(asked))))


class TableScores:
    """Scores settings on the rows of the first folds, which are not judged afterwards.

    Args:
        reader: A dataset of a table.
        config: All other choices of the run.
        metric: By which settings are chosen.
    """

    def __init__(self, reader: TableDatasetReader, config: TableRunConfig, metric: str) -> None:
        self._dataset, rows = reader.manifest, reader.rows()
        self.fold_count = first_folds(len(self._dataset.fold_counts))
        self.rows = rows.where((rows.folds >= 0) & (rows.folds < self.fold_count))
        self._config, self._metric = config, metric
        self.parts = parts_of_table(self.rows)

    def __call__(self, params: Params, seed: int) -> Iterator[float]:
        """The score of each part in turn; less is better."""
        config = replace(with_params(self._config, params), seed=seed)
        try:
            for part in self.parts.parts:
                yield self._score(config, part)
        finally:
            _forget_programs()

    def _score(self, config: TableRunConfig, part: Part) -> float:
        train, test = self.rows.where(part.train), self.rows.where(part.test)
        table_judge.require_apart(train, test)
        reading = fit_reading(train, self._dataset)
        require_own(reading, train, self._dataset)
        layers = table_layers(config, reading.size)
        fitter = Fitter(layers, objective, config.fit_config())
        listener = Listener(lambda _member, _report: None, lambda _pace: None)
        fitted = fit_table_members(
            train, reading, layers, fitter, config, name="", fits=FreshFits(), listener=listener
        )
        return self._judged(table_judge.answers(fitted, test), test)

    def _judged(self, said: table_judge.NumpyArray, test: TableRows) -> float:
        metric = table_judge.metrics(said, test.labels)[self._metric]
        return _less_is_better(self._metric, metric(np.ones(len(test))))


def _forget_programs() -> None:
    """Else the programs of all trials stay in memory; they are also kept in a folder of the run."""
    engine: Any = jax
    engine.clear_caches()


def _less_is_better(metric: str, value: float) -> float:
    return -value if metric in MORE_IS_BETTER else value
