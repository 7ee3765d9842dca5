"""A whole run about when something happens: a dataset in, files and manifest of a version out."""

import json
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import jax

from services.training.engine import EpochReport
from services.training.runs.config import RunConfig, to_yaml
from services.training.runs.export import explained, export_programs, spread
from services.training.runs.judged import JUDGED_FILE
from services.training.runs.kept import Fits, FreshFits
from services.training.runs.leaks import require_blind, require_purged
from services.training.runs.losses import Loss, curves
from services.training.runs.networks import Listener
from services.training.runs.result import RunResult
from services.training.runs.run import EVALUATION, FINAL, Reporter
from services.training.runs.wait_answer import OUTPUTS, learned_chance, predict_waits
from services.training.runs.wait_card import wait_card
from services.training.runs.wait_curve import PARTS
from services.training.runs.wait_judge import judge_waits
from services.training.runs.wait_members import FittedWaits, fit_waits
from services.training.runs.wait_rows import WaitRows, read_waits
from shared.dataset import DatasetReader, FoldSpec, Manifest
from shared.errors import FailedPreconditionError
from shared.features.waits import KIND, ORDER


def run_waits(
    reader: DatasetReader,
    model: str,
    config: RunConfig,
    reporter: Reporter,
    fits: Fits | None = None,
) -> RunResult:
    """Judge on later time, then fit on every instant, and export.

    Args:
        reader: A training dataset of what the config waits for.
        model: Name of the model without its collection.
        config: All choices of the run.
        reporter: Hears progress and losses.
        fits: Carries out the fits.

    Raises:
        FailedPreconditionError: The dataset cannot be trained on.
    """
    dataset = reader.manifest
    fitting = _Fitting(reader, config, reporter, fits or FreshFits())
    earlier, last = _fold(dataset, EVALUATION), _fold(dataset, FINAL)
    judged, train = fitting.fit(earlier)
    test = read_waits(reader, earlier.test_as_ofs)
    reporter.progress(fitting.completed, fitting.total, "judging on later time")
    judgement = judge_waits(
        judged,
        train,
        test,
        feature_names=dataset.feature_names,
        is_of_orders=dataset.awaited == ORDER,
        samples=config.bootstrap_samples,
        seed=config.seed,
    )
    evaluation = {"fold": _described(earlier, dataset, test.eligible), **judgement.evaluation}
    fitted, waits = fitting.fit(last)
    reporter.fitted(fitted.sample)
    reporter.progress(fitting.completed, fitting.total, "exporting")
    exported = export_programs(
        fitted.network,
        fitted.weights,
        predict_waits(fitted.network),
        learned_chance,
        spread(waits.rows.features),
    )
    evaluation["losses"] = curves(fitting.losses)
    manifest = {
        **_provenance(dataset, config, fitted),
        "completeness_error": exported.completeness_error,
        "metrics": evaluation["metrics"]["model"],
        "final": {
            "train_as_ofs": _texts(last.train_as_ofs),
            "row_count": int(waits.rows.eligible.sum()),
            "best_epochs": list(fitted.best_epochs),
        },
    }
    files = {
        **exported.files,
        JUDGED_FILE: judgement.rows.content,
        "evaluation.json": json.dumps(
            evaluation, indent=1, sort_keys=True, allow_nan=False
        ).encode()
        + b"\n",
        "model_card.md": wait_card({**manifest, "model": model}, evaluation).encode(),
        "config.yaml": to_yaml(config).encode(),
    }
    reporter.progress(fitting.total, fitting.total, "done")
    return RunResult(files, manifest)


class _Fitting:
    """Fits an ensemble to each of both folds and keeps the losses of all members."""

    def __init__(
        self, reader: DatasetReader, config: RunConfig, reporter: Reporter, fits: Fits
    ) -> None:
        self._reader, self._config, self._reporter, self._fits = reader, config, reporter, fits
        self.total = 2 * config.members
        self.completed = 0
        self._losses: list[Loss] = []

    @property
    def losses(self) -> list[Loss]:
        """Losses by fold, member and epoch, whichever thread was first."""
        return sorted(self._losses, key=lambda loss: (loss.fold, loss.member, loss.epoch))

    def fit(self, fold: FoldSpec) -> tuple[FittedWaits, WaitRows]:
        """The ensemble of a fold and the rows it was fitted to."""
        reader = self._reader
        require_purged(fold, reader.manifest.horizon_days)
        waits = read_waits(reader, fold.train_as_ofs)
        require_blind(waits.rows, reader.manifest.feature_names)

        def hear(member: int, report: EpochReport) -> None:
            loss = Loss(fold.name, member, report.epoch, report.train_loss, report.validation_loss)
            self._losses.append(loss)
            self._reporter.epoch(loss, report)

        def end(_: int) -> None:
            self.completed += 1
            words = "fitting the model to judge" if fold.name == EVALUATION else "fitting"
            self._reporter.progress(self.completed, self.total, words)

        fitted = fit_waits(
            waits,
            self._config,
            horizon_days=reader.manifest.horizon_days,
            listener=Listener(hear, self._reporter.pace, end),
            fits=self._fits,
            name=fold.name,
        )
        return fitted, waits


def _fold(dataset: Manifest, name: str) -> FoldSpec:
    found = [fold for fold in dataset.folds if fold.name == name]
    if not found:
        raise FailedPreconditionError(
            f"the dataset has no {name} fold; build one with purpose TRAINING over enough history",
            reason="DATASET_WITHOUT_FOLD",
            fold=name,
        )
    return found[0]


def _described(fold: FoldSpec, dataset: Manifest, test: WaitRows) -> dict[str, Any]:
    return {
        "train_as_ofs": _texts(fold.train_as_ofs),
        "test_as_of": _texts(fold.test_as_ofs)[-1],
        "horizon_days": dataset.horizon_days,
        "row_count": len(test),
        "happened_rate": float(test.rows.is_active.mean()),
    }


def _provenance(dataset: Manifest, config: RunConfig, fitted: FittedWaits) -> dict[str, Any]:
    outputs = {
        "chances": {"dtype": "float32", "shape": ["b", PARTS]},
        **{name: {"dtype": "float32", "shape": ["b"]} for name in OUTPUTS},
    }
    return {
        "kind": KIND,
        "awaited": dataset.awaited,
        "features": list(dataset.feature_names),
        "feature_labels": {each.name: each.label for each in dataset.features},
        "feature_set_version": dataset.feature_set_version,
        "dataset_hash": dataset.content_hash,
        "predictions": sorted(dataset.predictions),
        "horizon_days": dataset.horizon_days,
        "eligible_rule": dataset.eligible_rule,
        "has_customer_base": fitted.returning is not None,
        "signature": explained(len(dataset.features), outputs),
        "config": asdict(replace(config, model=dict(config.model))),
        "jax_version": jax.__version__,
    }


def _texts(instants: tuple[datetime, ...]) -> list[str]:
    return [instant.isoformat() for instant in instants]
