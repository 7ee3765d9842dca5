"""The fits of a run over candidates, one after another, and what is heard of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.training.engine import Arrays, EpochReport, FitResult, Objective, fit
from services.training.engine.standing import StandingStore
from services.training.models import LayerList
from services.training.runs.candidate_answer import Weights
from services.training.runs.candidate_config import CandidateRunConfig
from services.training.runs.kept import Fits
from services.training.runs.losses import Loss
from services.training.runs.run import EVALUATION, Reporter

_FITS_OF_A_RUN = 2


class CandidateFits:
    """Fits one kind of layers to several sets of rows and keeps their losses.

    Args:
        layers: Of the model.
        objective: Loss per row.
        config: All choices of the run.
        reporter: Hears progress and losses.
        fits: Carries out the fits.
    """

    def __init__(
        self,
        layers: LayerList,
        objective: Objective,
        config: CandidateRunConfig,
        reporter: Reporter,
        fits: Fits,
    ) -> None:
        self._layers, self._objective, self._config = layers, objective, config
        self._reporter, self._fits = reporter, fits
        self.total, self.done = _FITS_OF_A_RUN * config.epochs, 0
        self.losses: list[Loss] = []

    def fit(self, name: str, train: Arrays, reading: Mapping[str, Any]) -> Weights:
        """The weights of one fit, with how its own rows are read."""
        words = "fitting the model to judge" if name == EVALUATION else "fitting the model"
        self._reporter.progress(self.done, self.total, words)

        def hear(report: EpochReport) -> None:
            loss = Loss(name, 0, report.epoch, report.train_loss, report.train_loss)
            self.losses.append(loss)
            self._reporter.epoch(loss, report)
            self.done += 1
            self._reporter.progress(self.done, self.total, words)

        def work(checkpoints: StandingStore | None) -> FitResult:
            return fit(
                self._layers,
                self._objective,
                train,
                _none_of(train),
                self._config.fit_config(),
                seed=self._config.seed,
                on_epoch=hear,
                on_pace=self._reporter.pace,
                checkpoints=checkpoints,
            )

        fitted = self._fits.fit(name, work, hear)
        weights = {key: np.asarray(value) for key, value in fitted.parameters.items()}
        return dict(sorted({**weights, **reading}.items()))


def _none_of(rows: Arrays) -> Arrays:
    """No row, in the same shape: all epochs are done."""
    return Arrays(
        {name: values[:0] for name, values in rows.inputs.items()},
        {name: values[:0] for name, values in rows.targets.items()},
    )
