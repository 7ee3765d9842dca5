"""A search that says each fit on a line: `python -m tests.support.killed_search FILE`.

Its settings are judged by a formula, so that whoever kills it waits for no fit.
"""

import sys
from pathlib import Path

from services.training.search.kept import KeptTrials
from services.training.search.space import Plan
from services.training.search.study import Search
from shared.config.search import Dimension

PLAN = Plan(
    strategy="tpe",
    trials=16,
    seeds=2,
    metric="log_loss",
    space={
        "learning_rate": Dimension(low=1e-4, high=1e-1, is_log=True),
        "model.dropout": Dimension(low=0.0, high=0.9),
        "model.width": Dimension((8, 16, 32)),
    },
)
USUAL = {"learning_rate": 0.05, "model.dropout": 0.8, "model.width": 8}


def score(params, seed):
    """Best at a rate of 0.002, little dropout and width 16; parts differ in how hard they are."""
    asked = params or USUAL
    for part in range(3):
        distance = abs(asked["learning_rate"] - 0.002) * 10 + asked["model.dropout"] ** 2
        yield 0.5 + 0.2 * part + distance + 0.05 * (asked["model.width"] != 16) + 0.001 * seed


def search(file, plan=PLAN, seed=7, score=score):
    """The search whose trials lie in a file."""
    usual = {name: USUAL[name] for name in plan.space}
    return Search(plan, usual, seed, score, KeptTrials(Path(file), "one"))


def spoken(params, seed):
    """The same scores, each said before it is told."""
    for each in score(params, seed):
        sys.stdout.write("fit\n")
        sys.stdout.flush()
        yield each


if __name__ == "__main__":
    search(sys.argv[1], score=spoken).run()
