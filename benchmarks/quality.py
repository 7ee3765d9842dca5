"""Are answers about customers better than those of usual tools on the same later window?

Ours and LightGBM, logistic regression, BG/NBD with Gamma-Gamma and their mean, untuned, each fitted
to the same rows of a real shop up to a window and judged on the customers of that window. A
difference counts where the middle 95 % of paired bootstrap differences leaves out 0; what has to be
beaten is the best of the four on that very window.

bar quality_SET_METRIC: ours less the best of them, turned so that more is better.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import ROOT, keep, report
from benchmarks.peer import Peer
from benchmarks.quality_sets import ENDS, shop
from benchmarks.readme import write_section
from services.training.evaluation.bootstrap import Scores, draws, measure
from services.training.evaluation.calibrated import chance_limit, equal_mass_error
from services.training.evaluation.intervals import cell_intervals, interval_metrics
from services.training.evaluation.probability import (
    class_log_loss,
    class_macro_f1,
    decided_macro_f1,
    log_loss,
)
from services.training.evaluation.ranking import Metric, auc, normalised_gini
from services.training.runs.config import RunConfig
from services.training.runs.heads import segments
from services.training.runs.judge import Answer, answers
from services.training.runs.members import fit_members
from services.training.runs.rows import DAY, Rows, read_rows
from shared.dataset import DatasetReader

HORIZON_DAYS = 90
SAMPLES = 1000
METRICS = {
    "auc": ("churn AUC", 1),
    "log_loss": ("churn log loss", -1),
    "gini": ("spend, normalised Gini", 1),
    "macro_f1": ("segment macro-F1", 1),
    "argmax_f1": ("segment macro-F1, the likeliest", 1),
    "segment_log_loss": ("segment log loss", -1),
}
"""Title of each metric, and whether more (1) or less (-1) is better."""


def main(arguments: Sequence[str] = ()) -> int:
    """Judge the sets named, or all; print bars and table, and keep them for the last window."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks quality")
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(ENDS))
    parser.add_argument("--back", type=int, default=0, help="windows of 30 days before the last")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    found = {}
    for name in options.sets or ENDS:
        found[name] = judge_set(name, options.back, options.seed)
        for metric, each in found[name]["verdicts"].items():
            report(f"quality_{name}_{metric}", each["gain"], "> 0 beyond its interval")
    print(table(found))
    if not options.back:
        kept = ROOT / "benchmarks" / "results" / "quality.json"
        results = json.loads(kept.read_text(encoding="utf-8"))["sets"] if kept.exists() else {}
        results |= found
        print(f"kept {keep('quality', {'command': 'make bench NAME=quality', 'sets': results})}")
        if set(results) == set(ENDS):
            write_section("quality", table(results))
    return 0


def judge_set(name: str, back: int, seed: int) -> dict[str, Any]:
    """Fit ours and the peers on one shop, and compare them on one window."""
    with shop(name) as reader:
        train, test, limits, at = window(reader, back)
        names = list(reader.manifest.feature_names)
        config = RunConfig(seed=seed)
        fitted = fit_members(train, limits, config, horizon_days=HORIZON_DAYS)
        ours = answers(fitted, test)
        theirs = peer_answers(train, test, limits, names)
    sampled = draws(len(test), SAMPLES, seed=0)
    scores = {
        who: measure(metrics_of(said, test, limits), sampled)
        for who, said in {"ours": ours, **theirs}.items()
    }
    columns = [names.index("recency_days"), names.index("orders_ever")]
    cells = cell_intervals(train.features[:, columns], train.spend, test.features[:, columns])
    assert ours.intervals is not None
    intervals = {
        who: measure(interval_metrics(test.spend, each), sampled)
        for who, each in (("ours", ours.intervals), ("cells", cells))
    }
    once = np.ones(len(test))
    return {
        "judged_at": at.date().isoformat(),
        "train_rows": len(train),
        "customers": len(test),
        "churned": float(1.0 - test.is_active.mean()),
        "values": {who: dict(each.values) for who, each in scores.items()},
        "verdicts": {metric: verdict(scores, metric) for metric in METRICS},
        "calibration": {
            "error": equal_mass_error(test.is_active, ours.active)(once),
            "by_chance": chance_limit(ours.active, samples=500, seed=0),
        },
        "intervals": {who: dict(each.values) for who, each in intervals.items()},
        "interval_score_difference": vars(
            intervals["ours"].minus(intervals["cells"], "interval_score")
        ),
    }


def window(reader: DatasetReader, back: int) -> tuple[Rows, Rows, tuple[float, float], datetime]:
    """Rows to fit on and to judge, as `oriel run` would part them at that window."""
    instants = sorted(reader.manifest.as_ofs)
    at = instants[-1 - back]
    rows = read_rows(reader, tuple(instants))
    moment = round(at.timestamp() * 1000)
    train = rows.where(rows.eligible & (rows.as_ofs + HORIZON_DAYS * DAY <= moment))
    test = rows.where(rows.eligible & (rows.as_ofs == moment))
    last = train.spend[(train.as_ofs == train.as_ofs.max()) & train.is_active]
    low, high = np.quantile(last, [1 / 3, 2 / 3])
    return train, test, (float(low), float(high)), at


def peer_answers(
    train: Rows, test: Rows, limits: tuple[float, float], names: Sequence[str]
) -> dict[str, Answer]:
    """What the usual tools say, from the features that vary."""
    varies = [
        column
        for column in range(len(names))
        if len(np.unique(train.features[np.isfinite(train.features[:, column]), column])) > 1
    ]
    with tempfile.TemporaryDirectory(prefix="oriel-quality-") as folder:
        paths = {part: str(Path(folder) / f"{part}.npz") for part in ("train", "test", "out")}
        np.savez(
            paths["train"],
            features=train.features[:, varies],
            as_ofs=train.as_ofs,
            spend=train.spend,
            segment=segments(train.spend, limits),
        )
        np.savez(paths["test"], features=test.features[:, varies], as_ofs=test.as_ofs)
        chosen = [names[column] for column in varies]
        with Peer("customers", "answers.py", {}) as peer:
            said = peer.ask(**paths, names=chosen, horizon_days=HORIZON_DAYS)["answers"]
        with np.load(paths["out"]) as held:
            return {
                who: Answer(
                    active=held[f"{who}/active"],
                    spend=held[f"{who}/log_spend"],
                    segments=held[f"{who}/segments"],
                )
                for who in said
            }


def metrics_of(said: Answer, test: Rows, limits: tuple[float, float]) -> dict[str, Metric]:
    """Every metric of one answer."""
    classes = segments(test.spend, limits)
    decided = said.segments.argmax(axis=1) if said.segment is None else said.segment
    return {
        "auc": auc(~test.is_active, 1.0 - said.active),
        "log_loss": log_loss(~test.is_active, 1.0 - said.active),
        "gini": normalised_gini(test.spend, said.spend),
        "macro_f1": decided_macro_f1(classes, decided, said.segments.shape[1]),
        "argmax_f1": class_macro_f1(classes, said.segments),
        "segment_log_loss": class_log_loss(classes, said.segments),
    }


def verdict(scores: Mapping[str, Scores], metric: str) -> dict[str, Any]:
    """Ours against the best of the others on this window."""
    sign = METRICS[metric][1]
    others = [who for who in scores if who != "ours"]
    best = max(others, key=lambda who: sign * scores[who].values[metric])
    difference = scores["ours"].minus(scores[best], metric)
    low, high = sorted((sign * difference.low, sign * difference.high))
    word = "better" if low > 0 else "worse" if high < 0 else "tie"
    return {
        "best": best,
        "ours": scores["ours"].values[metric],
        "theirs": scores[best].values[metric],
        "gain": sign * difference.value,
        "low": low,
        "high": high,
        "verdict": word,
    }


def table(results: Mapping[str, Any]) -> str:
    """The verdicts of all sets."""
    lines = [
        "| set, judged at | metric | ours | best of the others | gain, 95 % interval | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        for metric, each in found["verdicts"].items():
            lines.append(
                f"| {name}, {found['judged_at']} | {METRICS[metric][0]} | {each['ours']:.4f} | "
                f"{each['theirs']:.4f} ({each['best']}) | {each['gain']:+.4f} "
                f"({each['low']:+.4f} to {each['high']:+.4f}) | {each['verdict']} |"
            )
        error, chance = found["calibration"]["error"], found["calibration"]["by_chance"]
        lines.append(
            f"| {name} | calibration error | {error:.4f} | chance: {chance:.4f} | | "
            f"{'within' if error <= chance else 'beyond'} |"
        )
        ours, cells = found["intervals"]["ours"], found["intervals"]["cells"]
        change = found["interval_score_difference"]
        lines.append(
            f"| {name} | intervals: covered, of buyers, score | {ours['coverage']:.3f}, "
            f"{ours['coverage_of_buyers']:.3f}, {ours['interval_score']:.1f} | cells: "
            f"{cells['coverage']:.3f}, {cells['coverage_of_buyers']:.3f}, "
            f"{cells['interval_score']:.1f} | {-change['value']:+.1f} ({-change['high']:+.1f} to "
            f"{-change['low']:+.1f}) | {'better' if change['high'] < 0 else 'tie'} |"
        )
    return "\n".join(lines)
