"""Do value intervals keep their word where there are few customers?

Shops of 300 customers are drawn from CDNOW; each is fitted by the recipe of `oriel run` up to a
window and judged on the customers of that window. A shop of 30 has to be refused by name.

bar small_shop_coverage: share of customers, over all draws, whose spend lies in its 90 % interval.
"""

import argparse
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.machine import keep, report
from benchmarks.quality import HORIZON_DAYS, window
from benchmarks.quality_sets import shop
from benchmarks.readme import write_section
from services.training.evaluation.intervals import interval_metrics
from services.training.runs.config import RunConfig
from services.training.runs.judge import answers
from services.training.runs.members import fit_members
from services.training.runs.rows import Rows
from shared.errors import FailedPreconditionError

SHOP = "cdnow"
CUSTOMERS, TOO_FEW = 300, 30
DRAWS = 100
NEEDED = (0.85, 0.95)


def main(arguments: Sequence[str] = ()) -> int:
    """Judge all draws; print the bar and, for the last window, keep it with its table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks small_shops")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--back", type=int, default=0, help="windows of 30 days before the last")
    options = parser.parse_args(arguments)
    with shop(SHOP) as reader, tempfile.TemporaryDirectory(prefix="oriel-programs-") as programs:
        jax.config.update("jax_compilation_cache_dir", programs)
        train, test, _, at = window(reader, options.back)
        found = [judged(train, test, draw, CUSTOMERS) for draw in range(options.draws)]
        refusal = refused(train, test)
    covered = [each["covered"] for each in found]
    answer = {
        "command": f"python -m benchmarks small_shops --draws {options.draws}",
        "judged_at": at.date().isoformat(),
        "customers": CUSTOMERS,
        "draws": found,
        "coverage": float(np.mean(covered)),
        "coverage_of_buyers": sum(e["covered_buyers"] for e in found)
        / sum(e["buyers"] for e in found),
        "within": float(np.mean([NEEDED[0] <= each <= NEEDED[1] for each in covered])),
        "lowest_and_highest": [min(covered), max(covered)],
        "refusal_of_30": refusal,
    }
    report("small_shop_coverage", answer["coverage"], f"{NEEDED[0]} to {NEEDED[1]}")
    print(table(answer))
    if not options.back:
        keep("small_shops", answer)
        write_section("small_shops", table(answer))
    return 0


def judged(train: Rows, test: Rows, draw: int, count: int) -> dict[str, Any]:
    """Fit a shop of so many customers drawn by chance, and judge its intervals."""
    chosen = np.random.default_rng(draw).choice(np.unique(test.user_keys), count, replace=False)
    small = train.where(np.isin(train.user_keys, chosen))
    later = test.where(np.isin(test.user_keys, chosen))
    last = small.spend[(small.as_ofs == small.as_ofs.max()) & small.is_active]
    low, high = np.quantile(last, [1 / 3, 2 / 3])
    config = RunConfig(seed=draw)
    fitted = fit_members(small, (float(low), float(high)), config, horizon_days=HORIZON_DAYS)
    said = answers(fitted, later).intervals
    assert said is not None
    once = np.ones(len(later))
    metrics = {name: each(once) for name, each in interval_metrics(later.spend, said).items()}
    buyers = int(later.is_active.sum())
    print(f"draw {draw}: covered {metrics['coverage']:.3f}", flush=True)
    return {
        "covered": float(metrics["coverage"]),
        "buyers": buyers,
        "covered_buyers": float(metrics["coverage_of_buyers"]) * buyers if buyers else 0.0,
    }


def refused(train: Rows, test: Rows) -> str:
    """The reason that a shop of 30 customers is refused with; empty if it is not."""
    try:
        judged(train, test, 0, TOO_FEW)
    except FailedPreconditionError as refusal:
        return f"{refusal.reason}: {refusal}"
    return ""


def table(answer: dict[str, Any]) -> str:
    """What all draws come to."""
    lowest, highest = answer["lowest_and_highest"]
    return "\n".join(
        (
            f"| shops of {answer['customers']} customers, {SHOP} at {answer['judged_at']} | |",
            "|---|---|",
            f"| draws | {len(answer['draws'])} |",
            f"| 90 % intervals cover, over all draws | {answer['coverage']:.3f} |",
            f"| of buyers | {answer['coverage_of_buyers']:.3f} |",
            f"| lowest and highest draw | {lowest:.3f}, {highest:.3f} |",
            f"| share of draws within 85 to 95 % | {answer['within']:.2f} |",
            f"| a shop of {TOO_FEW} | {answer['refusal_of_30']} |",
        )
    )
