"""Small tables and texts whose answer hangs on some of their columns, as datasets."""

import numpy as np

from shared.dataset.tables import TableColumn, TableDatasetReader, TableRows, write_table

COLUMNS = (
    TableColumn("age", "number"),
    TableColumn("balance", "number"),
    TableColumn("member", "flag"),
    TableColumn("job", "category", ("clerk", "cook", "none")),
)
TEXT = (TableColumn("title", "text"), TableColumn("body", "text"))
GOOD, BAD = ("lovely", "perfect", "soft"), ("awful", "returned", "itchy")
PLAIN = ("dress", "shirt", "colour", "size", "blue", "long", "fit", "today")


def cells(count, seed=0, *, folds=3):
    """Rows of a table; a tenth of the balances is missing."""
    rng = np.random.default_rng(seed)
    numbers = np.column_stack(
        [rng.integers(18, 90, count), rng.lognormal(4, 1, count), rng.random(count) < 0.5]
    ).astype(np.float32)
    numbers[rng.random(count) < 0.1, 1] = np.nan
    codes = rng.integers(-1, 3, (count, 1)).astype(np.int32)
    logit = 0.08 * (numbers[:, 0] - 50) + 2.0 * (codes[:, 0] == 1) - 1.0
    labels = rng.random(count) < 1 / (1 + np.exp(-logit))
    return _rows(count, labels, folds, numbers=numbers, codes=codes)


def texts(count, seed=0, *, folds=3):
    """Rows of a title and a body with a word of praise or of blame, mostly the right one."""
    rng = np.random.default_rng(seed)
    labels = rng.random(count) < 0.6
    bodies = []
    for label in labels:
        right = label if rng.random() < 0.9 else not label
        words = [*rng.choice(PLAIN, 5), rng.choice(GOOD if right else BAD)]
        bodies.append(" ".join(rng.permutation(words)))
    titles = rng.choice(["Good", "Hm", ""], count)
    return _rows(count, labels, folds, texts=np.array([titles, bodies], object).T)


def _rows(count, labels, folds, **cells):
    empty = {
        "numbers": np.empty((count, 0), np.float32),
        "codes": np.empty((count, 0), np.int32),
        "texts": np.empty((count, 0), object),
    }
    return TableRows(
        **{**empty, **cells},
        labels=labels,
        folds=(np.arange(count) % folds).astype(np.int8),
        groups=np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15),
        places=np.arange(count, dtype=np.int32),
    )


def dataset(folder, rows):
    """Write rows as a dataset and open it."""
    write_table(
        folder,
        rows,
        name="datasets/small",
        predictions=("small",),
        columns=TEXT if rows.texts.shape[1] else COLUMNS,
        excluded={"duration": "known only after the call"},
        target="y",
        positive="yes",
        source_files={"small.csv": "00"},
    )
    return TableDatasetReader(folder)
