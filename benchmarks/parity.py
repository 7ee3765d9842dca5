"""How good a model is after the same epochs when several nodes train it, in every mode.

Two servers and two workers in one process, which share its cores, against a fit on one device.
`python -m benchmarks parity [QUESTION:MODE…]`; what is measured is kept beside the rest.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.images import image_set
from benchmarks.machine import ROOT, keep, report
from benchmarks.readme import write_section
from services.training.engine import Arrays, FitConfig, FitResult, OptimizerConfig, fit
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.outcome import Crew
from services.training.engine.ps.run import train_in_threads
from services.training.engine.ps.wire import Wire
from services.training.models import Field, HeadSpec, InputSpec, parse_config
from services.training.runs import heads
from services.training.runs.config import RunConfig
from services.training.runs.ensemble import ensemble_rows, limits_of
from services.training.runs.image_answer import TEMPERATURE, objective
from services.training.runs.image_answer import answers as image_answers
from services.training.runs.judge import answers
from services.training.runs.kept import FitOne, FreshFits, OnEpoch, Work
from services.training.runs.members import fit_members
from services.training.runs.rows import read_rows
from shared.dataset import DatasetReader

MOST_POINTS = 0.5
SEEDS = (1, 2)
EPOCHS = {"mnist": 4, "churn_90d": 10}
WORKERS, SERVERS = 2, 2

MODES: Mapping[str, Sharing] = {
    "sync": Sharing(owners=SERVERS),
    "bounded": Sharing(owners=SERVERS, staleness=4),
    "async": Sharing(owners=SERVERS, staleness=None),
    "bfloat16": Sharing(owners=SERVERS, wire=Wire.BFLOAT16),
    "int8": Sharing(owners=SERVERS, wire=Wire.INT8),
}

ALL = ("single", *MODES)

KEPT = ROOT / "benchmarks" / "results" / "parity.json"
_HOME = ROOT / ".cache" / "parity"
_EVENTS = ROOT.parent / "shared" / "data" / "online_retail" / "events.parquet"

Scores = Mapping[str, float]


def together(job: Job) -> FitResult:
    """Train with all nodes."""
    crew = Crew(WORKERS, SERVERS)
    return train_in_threads(job, job.start(), crew).standing.result()


def on_mnist(mode: str, seed: int) -> Scores:
    """Accuracy of LeNet-5 on the test images after four epochs of the others."""
    images = image_set("mnist")
    (train, labels), (test, wanted) = (_part(images.folder, part) for part in ("train", "test"))
    inputs = InputSpec((Field("images", images.shape, "uint8", 256),))
    layers = parse_config({"type": "lenet5"}).build(inputs, (HeadSpec("class", images.classes),))
    config = FitConfig(
        batch_size=128,
        micro_batches=WORKERS,
        epochs=EPOCHS["mnist"],
        patience=0,
        optimizer=OptimizerConfig(learning_rate=2e-3),
    )
    rows = Arrays({"images": train}, {"label": labels})
    if mode == "single":
        none = Arrays({"images": train[:0]}, {"label": labels[:0]})
        fitted = fit(layers, objective, rows, none, config, seed=seed)
    else:
        fitted = together(Job(layers, objective, rows, config, seed, MODES[mode]))
    weights = {**fitted.parameters, TEMPERATURE: np.float32(1.0)}
    said = image_answers(layers, weights, test).argmax(axis=1)
    return {"accuracy": float((said == wanted).mean())}


def on_churn(mode: str, seed: int) -> Scores:
    """Area under the curve and accuracy of the shipped prediction, ten epochs a member.

    Judged on later time than it was fitted on.
    """
    reader = DatasetReader(_churn_dataset())
    fold = reader.manifest.fold("evaluation")
    rows = read_rows(reader, fold.train_as_ofs)
    config = RunConfig(seed=seed, epochs=EPOCHS["churn_90d"], patience=0)
    made = ensemble_rows(rows, config)

    def fit_together(number: int) -> FitResult:
        train, valid = made.train(number), made.valid(number)
        fit_config = replace(made.fit_config, micro_batches=WORKERS)
        layers, sharing = made.layers, MODES[mode]
        seed = made.seed(number)
        return together(Job(layers, heads.objective, train, fit_config, seed, sharing, valid))

    fits = FreshFits() if mode == "single" else _Together(fit_together)
    fitted = fit_members(
        rows,
        limits_of(fold),
        config,
        horizon_days=reader.manifest.horizon_days,
        fits=fits,
    )
    test = read_rows(reader, fold.test_as_ofs)
    test = test.where(test.eligible)
    said = answers(fitted, test).active
    return {
        "auc": float(roc_auc_score(test.is_active, said)),
        "accuracy": float(((said > 0.5) == test.is_active).mean()),
    }


QUESTIONS: Mapping[str, Callable[[str, int], Scores]] = {
    "mnist": on_mnist,
    "churn_90d": on_churn,
}


class _Together:
    """Fits of members by all nodes, one after another."""

    def __init__(self, one: FitOne) -> None:
        self._one = one

    def each(self, one: FitOne, count: int) -> list[FitResult]:
        """In turn."""
        return [one(number) for number in range(count)]

    def fit(self, name: str, work: Work, on_epoch: OnEpoch) -> FitResult:
        """By all nodes, whatever one device would do."""
        del work, on_epoch
        return self._one(int(name.rpartition("-")[2]))


def _part(folder: Path, part: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    with np.load(folder / f"{part}.npz") as kept:
        return kept["images"], kept["labels"].astype(np.int32)


def _churn_dataset() -> Path:
    """The dataset that `oriel train churn_90d` makes of the events; made once."""
    if not _HOME.exists():
        oriel = [sys.executable, "-m", "app", "--home", str(_HOME)]
        subprocess.run([*oriel, "init"], check=True)
        # It ends with a code of its own when it refused rows, as two of these.
        subprocess.run([*oriel, "ingest", str(_EVENTS), "--mapping", "order_lines"], check=False)
        subprocess.run([*oriel, "train", "churn_90d", "--dry-run"], check=True)
    (manifest,) = _HOME.glob("datasets/*/manifest.json")
    return manifest.parent


def main(arguments: Sequence[str] = ()) -> None:
    """Measure the modes that are named, or all; print the bars and keep every score."""
    for name in arguments or [f"{question}:{mode}" for question in QUESTIONS for mode in ALL]:
        question, mode = name.split(":")
        found = [dict(QUESTIONS[question](mode, seed)) for seed in SEEDS]
        print(json.dumps({name: found}), flush=True)
        scores = _kept()
        scores[question][mode] = found
        keep("parity", {"scores": scores})
    write_section("parity", _table(_kept()))


def _kept() -> dict[str, dict[str, list[Scores]]]:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))["scores"] if KEPT.exists() else {}
    return {question: kept.get(question, {}) for question in QUESTIONS}


def _table(answer: Mapping[str, Mapping[str, Sequence[Scores]]]) -> str:
    """Print every bar: points that a mode gives up, mean over the seeds; and say it in a table."""
    lines = [
        "| rows and score | one device | " + " | ".join(MODES) + " |",
        "|---|---" + "|---" * len(MODES) + "|",
    ]
    for question, scores in answer.items():
        if "single" not in scores:
            continue
        for score in scores["single"][0]:
            means = {
                mode: 100.0 * statistics.mean(each[score] for each in found)
                for mode, found in scores.items()
            }
            cells = [f"{means['single']:.2f}"]
            for mode in MODES:
                if mode not in means:
                    cells.append("not measured")
                    continue
                lost = means["single"] - means[mode]
                report(f"parity_{question}_{score}_{mode}", lost, f"at most {MOST_POINTS}")
                cells.append(f"{means[mode]:.2f} ({-lost:+.2f})")
            lines.append(f"| {question}, {score} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
