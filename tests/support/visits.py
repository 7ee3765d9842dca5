"""Sessions of clicks of visitors who follow paths, as tables, sessions and datasets."""

import numpy as np
import pyarrow as pa

from services.feature.domain.click_sessions import Sessions, sessions_of
from services.feature.usecases.build_clicks import build_clicks
from services.feature.usecases.ports import Unwatched
from shared.config.clicks import ClickPrediction
from shared.dataset.clicks import ClickDatasetReader

QUESTION = ClickPrediction(
    name="next_click", path="/visits", session="visit", position="step", item="product"
)
ITEMS = 60


def table(count=600, seed=0):
    """Visits of 2 to 9 clicks: mostly on to one of the two next items of a ring, or back."""
    rng = np.random.default_rng(seed)
    visits, steps, products = [], [], []
    for visit in range(count):
        path = [int(rng.integers(ITEMS))]
        for _ in range(int(rng.integers(1, 9))):
            chance = rng.random()
            if chance < 0.25 and len(path) > 1:
                path.append(path[-2])
            elif chance < 0.9:
                path.append((path[-1] + int(rng.integers(1, 3))) % ITEMS)
            else:
                path.append(int(rng.integers(ITEMS)))
        visits += [visit] * len(path)
        steps += range(len(path))
        products += [f"P{item:02d}" for item in path]
    return pa.table({"visit": visits, "step": steps, "product": products})


def sessions(count=600, seed=0) -> Sessions:
    """The same as sessions."""
    return sessions_of(table(count, seed), QUESTION)


class Visits:
    """A table in memory, the last rows of which may be of test files."""

    def __init__(self, rows, judged=0):
        self._rows, self._judged = rows, judged

    def digests(self):
        """Of nothing."""
        return {"visits.parquet": "00"}

    def read(self):
        """The table, and how many rows are judged on only."""
        return self._rows, self._judged


def dataset(folder, rows=None, judged=0):
    """Build a dataset of these visits and open it."""
    source = Visits(table() if rows is None else rows, judged)
    build_clicks("datasets/visits", QUESTION, source, folder, Unwatched())
    return ClickDatasetReader(folder)
