"""A whole run as a function: a dataset in, the files and the manifest of a version out."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Protocol

import jax

from services.training.engine import EpochReport, Pace
from services.training.runs.answer import learned_logit, predict
from services.training.runs.card import model_card
from services.training.runs.config import RunConfig, to_yaml
from services.training.runs.embedding import EMBED_FILE, export_embedding
from services.training.runs.ensemble import limits_of
from services.training.runs.export import export_programs, signature, spread
from services.training.runs.judge import judge
from services.training.runs.judged import JUDGED_FILE
from services.training.runs.kept import Fits, FreshFits
from services.training.runs.leaks import require_blind, require_purged
from services.training.runs.losses import Loss, curves
from services.training.runs.members import Fitted, fit_members, sample_of
from services.training.runs.result import RunResult
from services.training.runs.rows import Rows, read_rows
from services.training.runs.timing import Sample
from shared.dataset import DatasetReader, FoldSpec, Manifest
from shared.errors import FailedPreconditionError

EVALUATION, FINAL = "evaluation", "final"
ROWS_FOR_EMBEDDING = 4096


class Reporter(Protocol):
    """Hears how a run goes."""

    def progress(self, completed: int, total: int, message: str) -> None:
        """So many of so many epochs are done; a member that stops early skips the rest of its."""
        ...

    def epoch(self, loss: Loss, report: EpochReport) -> None:
        """A member finished an epoch."""
        ...

    def pace(self, pace: Pace) -> None:
        """A fit goes that fast at the moment; only fits of seconds are heard of."""
        ...

    def fitted(self, sample: Sample) -> None:
        """The last fit is over; its layers may be timed on the sample."""
        ...


def run_training(
    reader: DatasetReader,
    model: str,
    config: RunConfig,
    reporter: Reporter,
    fits: Fits | None = None,
) -> RunResult:
    """Judge on later time, then fit on every instant, and export.

    Args:
        reader: A training dataset with an "evaluation" and a "final" fold.
        model: Name of the model without its collection.
        config: All choices of the run.
        reporter: Hears progress and losses.
        fits: Carries out the fits.

    Raises:
        FailedPreconditionError: The dataset cannot be trained on.
    """
    dataset = reader.manifest
    _require_training(dataset)
    progress = _Progress(config, reporter)
    fits = fits or FreshFits()

    earlier = dataset.fold(EVALUATION)
    judged, train = _fit(reader, earlier, config, progress, fits)
    test = read_rows(reader, earlier.test_as_ofs)
    reporter.progress(progress.completed, progress.total, "judging on later time")
    judgement = judge(
        judged,
        train,
        test,
        limits_of(earlier),
        feature_names=dataset.feature_names,
        horizon_days=dataset.horizon_days,
        half_life_days=config.half_life_days,
        samples=config.bootstrap_samples,
        seed=config.seed,
    )

    last = dataset.fold(FINAL)
    fitted, rows = _fit(reader, last, config, progress, fits)
    reporter.fitted(sample_of(fitted, rows, config))
    reporter.progress(progress.completed, progress.total, "exporting")
    exported = export_programs(
        fitted.network,
        fitted.weights,
        predict(fitted.network),
        learned_logit,
        spread(rows.features),
    )
    some = spread(rows.features[rows.eligible], ROWS_FOR_EMBEDDING)
    evaluation = {"fold": _fold(earlier, dataset, test), **judgement.evaluation}
    evaluation["losses"] = curves(progress.losses)
    manifest = {
        **_provenance(dataset, config, fitted, last),
        "completeness_error": exported.completeness_error,
        "metrics": evaluation["metrics"]["model"],
        "final": {
            "train_as_ofs": _texts(last.train_as_ofs),
            "row_count": int(rows.eligible.sum()),
            "best_epochs": list(fitted.best_epochs),
        },
    }
    card = model_card({**manifest, "model": model}, evaluation)
    files = {
        **exported.files,
        EMBED_FILE: export_embedding(fitted, config, rows.steps, some),
        JUDGED_FILE: judgement.rows.content,
        "evaluation.json": _json(evaluation),
        "model_card.md": card.encode(),
        "config.yaml": to_yaml(config).encode(),
    }
    reporter.progress(progress.total, progress.total, "done")
    return RunResult(files, manifest)


class _Progress:
    """Counts epochs over all members of both folds and keeps their losses.

    Members report from several threads; a member that stops early counts as having done all.
    """

    def __init__(self, config: RunConfig, reporter: Reporter) -> None:
        self.total = 2 * config.members * config.epochs
        self.completed = 0
        self._losses: list[Loss] = []
        self._config, self._reporter = config, reporter
        self._lock = threading.Lock()
        self._folds: list[str] = []

    @property
    def losses(self) -> list[Loss]:
        """Losses by fold, member and epoch, whichever thread was first."""
        order = {name: number for number, name in enumerate(self._folds)}
        return sorted(self._losses, key=lambda loss: (order[loss.fold], loss.member, loss.epoch))

    def listen(self, fold: str) -> tuple[Callable[[int, EpochReport], None], Callable[[int], None]]:
        """What a fold's fit calls after each epoch of a member, and after its last."""
        before = len(self._folds) * self._config.members * self._config.epochs
        self._folds.append(fold)
        self.completed = before
        done: dict[int, int] = {}
        words = "fitting the model to judge" if fold == EVALUATION else "fitting the final model"

        def hear(member: int, report: EpochReport) -> None:
            loss = Loss(fold, member, report.epoch, report.train_loss, report.validation_loss)
            with self._lock:
                self._losses.append(loss)
                self._reporter.epoch(loss, report)
                count(member, report.epoch + 1)

        def end(member: int) -> None:
            with self._lock:
                count(member, self._config.epochs)

        def count(member: int, epochs: int) -> None:
            done[member] = epochs
            self.completed = before + sum(done.values())
            self._reporter.progress(self.completed, self.total, words)

        return hear, end

    def pace(self, pace: Pace) -> None:
        """Pass it on."""
        self._reporter.pace(pace)


def _fit(
    reader: DatasetReader, fold: FoldSpec, config: RunConfig, progress: _Progress, fits: Fits
) -> tuple[Fitted, Rows]:
    require_purged(fold, reader.manifest.horizon_days)
    rows = read_rows(reader, fold.train_as_ofs)
    require_blind(rows, reader.manifest.feature_names)
    on_epoch, on_fitted = progress.listen(fold.name)
    fitted = fit_members(
        rows,
        limits_of(fold),
        config,
        horizon_days=reader.manifest.horizon_days,
        on_epoch=on_epoch,
        on_fitted=on_fitted,
        on_pace=progress.pace,
        fits=fits,
        name=fold.name,
    )
    return fitted, rows


def _require_training(dataset: Manifest) -> None:
    names = {fold.name for fold in dataset.folds}
    missing = [name for name in (EVALUATION, FINAL) if name not in names]
    if missing:
        raise FailedPreconditionError(
            f"the dataset has no {missing[0]} fold; build one with purpose TRAINING "
            "over enough history",
            reason="DATASET_WITHOUT_FOLD",
            fold=missing[0],
        )


def _fold(fold: FoldSpec, dataset: Manifest, test: Rows) -> dict[str, Any]:
    eligible = test.where(test.eligible)
    return {
        "train_as_ofs": _texts(fold.train_as_ofs),
        "test_as_of": _texts(fold.test_as_ofs)[-1],
        "horizon_days": dataset.horizon_days,
        "row_count": len(eligible),
        "positive_rate": float(1.0 - eligible.is_active.mean()),
    }


def _provenance(
    dataset: Manifest, config: RunConfig, fitted: Fitted, fold: FoldSpec
) -> dict[str, Any]:
    return {
        "features": list(dataset.feature_names),
        "feature_labels": {column.name: column.label for column in dataset.features},
        "feature_set_version": dataset.feature_set_version,
        "dataset_hash": dataset.content_hash,
        "predictions": sorted(dataset.predictions),
        "horizon_days": dataset.horizon_days,
        "currency": dataset.currency,
        "eligible_rule": dataset.eligible_rule,
        "signature": signature(len(dataset.features)),
        "base_rates": {
            "active": fitted.base.active,
            "expected_value": fitted.base.spend,
            "segments": [float(share) for share in fitted.base.segments],
        },
        "customer_base": {
            name.removeprefix("returning/"): [float(each) for each in value]
            for name, value in fitted.weights.items()
            if name.startswith("returning/")
        },
        "segment_limits_micros": list(fold.segment_limits_micros),
        "config": asdict(replace(config, model=dict(config.model))),
        "jax_version": jax.__version__,
    }


def _texts(instants: tuple[datetime, ...]) -> list[str]:
    return [instant.isoformat() for instant in instants]


def _json(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"
