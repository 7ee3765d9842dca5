"""Does Oriel name the next click of a session better than plain rules, in sessions after its own?

The last tenth of the sessions is judged: for every click from the third on all items are ranked
given the clicks before it, those of the session included. The rules count over all sessions before
that tenth, as Oriel does. Differences are bootstrapped over sessions, paired.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, keep
from benchmarks.readme import write_section
from services.feature.adapters.table_file import TableFile
from services.feature.usecases.build_clicks import build_clicks
from services.training.runs.click_config import click_config_of
from services.training.runs.click_judge import gained
from services.training.runs.clicks import run_clicks
from shared.config.clicks import located_clicks, parse_click_prediction
from shared.config.prediction import shipped_text
from shared.dataset.clicks import ClickDatasetReader

SEEDS, SAMPLES = 2, 1_000
METRICS = {
    "hit_rate_10": "hit rate at 10",
    "hit_rate_20": "hit rate at 20",
    "ndcg_10": "NDCG at 10",
    "mrr_20": "MRR at 20",
}


class EarlierSessions:
    """Rows of a file without those of its last sessions.

    Args:
        file: The whole.
        session: Column that names the session of a row; they are numbered in their order.
        share: Of the sessions that are kept.
    """

    def __init__(self, file: TableFile, session: str, share: float) -> None:
        self._file, self._session, self._share = file, session, share

    def digests(self) -> dict[str, str]:
        """Of the whole."""
        return self._file.digests()

    def read(self) -> tuple[Any, int]:
        """Rows of the first sessions."""
        table, _ = self._file.read()
        numbers = table[self._session].combine_chunks().dictionary_encode().indices.to_numpy()
        return table.filter(numbers < int((numbers.max() + 1) * self._share)), 0


def main(arguments: list[str]) -> int:
    """Judge the last tenth, or an earlier one, and keep the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks next_click")
    parser.add_argument(
        "--earlier", action="store_true", help="judge the tenth before the last; keep nothing"
    )
    options = parser.parse_args(arguments)
    found = judged(is_earlier=options.earlier)
    if not options.earlier:
        write_section("next_click", table(found))
        print(f"kept {keep('next_click', {'command': 'make bench NAME=next_click', **found})}")
    return 0


def judged(*, is_earlier: bool) -> dict[str, Any]:
    """Everything about one tenth of the sessions."""
    text = located_clicks(shipped_text("next_click"), ROOT.parent / "shared" / "data")
    question = parse_click_prediction(text)
    whole = TableFile(Path(question.path))
    source = EarlierSessions(whole, question.session, 0.9) if is_earlier else whole
    started, runs = time.process_time(), []
    with tempfile.TemporaryDirectory(prefix="oriel-bench-") as name:
        folder = Path(name) / "dataset"
        build_clicks("datasets/bench", question, source, folder, _Quiet())
        built = time.process_time() - started
        for seed in range(1, SEEDS + 1):
            config = click_config_of(question, seed, SAMPLES)
            run = run_clicks(ClickDatasetReader(folder), question.name, config, _Quiet())
            runs.append(json.loads(run.files["evaluation.json"]))
            values = {key: each["value"] for key, each in runs[-1]["metrics"]["model"].items()}
            print(f"seed {seed}: {values}", flush=True)
    first = runs[0]
    return {
        "clicks": first["clicks"],
        "sessions": first["sessions"],
        "share_seen_before": first["share_seen_before"],
        "candidates_hold": first["candidates_hold"],
        "cpu_seconds": {
            "counting": round(built, 1),
            "each_run": round((time.process_time() - started - built) / SEEDS, 1),
        },
        "oriel": [each["metrics"]["model"] for each in runs],
        "rules": {name: each for name, each in first["metrics"].items() if name != "model"},
        "differences": first["comparisons"],
        "best_rules": {metric: gained(first, metric) for metric in METRICS},
    }


def table(found: dict[str, Any]) -> str:
    """Return the README's table."""
    lines = [
        "| metric | Oriel (two seeds) | best rule | gain over it (95 %) |",
        "| --- | --- | --- | --- |",
    ]
    for metric, words in METRICS.items():
        ours = ", ".join(f"{seed[metric]['value']:.3f}" for seed in found["oriel"])
        gap = found["best_rules"][metric]
        rule = found["rules"][gap["baseline"]][metric]["value"]
        lines.append(
            f"| {words} | {ours} | {rule:.3f} ({gap['baseline'].replace('_', ' ')}) | "
            f"{gap['difference']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}) |"
        )
    return "\n".join(lines)


class _Quiet:
    def progress(self, *_: Any) -> None:
        """Say nothing."""

    def raise_if_cancelled(self) -> None:
        """Go on."""

    def epoch(self, *_: Any) -> None:
        """Say nothing."""

    def pace(self, *_: Any) -> None:
        """Say nothing."""

    def fitted(self, *_: Any) -> None:
        """Say nothing."""
