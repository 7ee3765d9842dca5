"""Cells of a table to what a model reads, as fitted on some rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from services.training.runs.table_inputs import (
    TableScaling,
    fit_table_scaling,
    table_inputs,
    tree_inputs,
)
from shared.dataset.tables import TableColumn, TableRows

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

COLUMNS_FILE = "columns.json"


@dataclass(frozen=True)
class TableReading:
    """How the cells of a table are read.

    Attributes:
        columns: What they are.
        scaling: Fitted on some rows of them.
    """

    columns: tuple[TableColumn, ...]
    scaling: TableScaling

    @property
    def size(self) -> int:
        """How many inputs a model has."""
        return self.scaling.width

    @property
    def weights(self) -> Mapping[str, NumpyArray]:
        """Arrays of the program."""
        return self.scaling.weights

    @property
    def files(self) -> Mapping[str, bytes]:
        """What brings cells to the program's inputs."""
        columns = [
            {"name": each.name, "kind": each.kind, "values": each.values} for each in self.columns
        ]
        return {COLUMNS_FILE: json.dumps({"columns": columns}, ensure_ascii=False).encode() + b"\n"}

    def raw(self, rows: TableRows) -> dict[str, NumpyArray]:
        """What the program takes."""
        return {"numbers": rows.numbers, "words": rows.codes}

    def network(self, rows: TableRows) -> dict[str, NumpyArray]:
        """What a network is fitted to."""
        return {"features": self.design(rows)}

    def design(self, rows: TableRows) -> NumpyArray:
        """What straight lines are fitted to: the same, by the function exported."""
        run = jax.jit(table_inputs, static_argnums=3)
        scaling = self.scaling
        return np.asarray(run(scaling.weights, rows.numbers, rows.codes, scaling.width))

    def branches(self, rows: TableRows) -> NumpyArray:
        """What trees are grown on, by the function exported."""
        return np.asarray(jax.jit(tree_inputs)(self.scaling.weights, rows.numbers, rows.codes))


def fit_table_reading(rows: TableRows, columns: tuple[TableColumn, ...]) -> TableReading:
    """Fit on these rows and nothing else."""
    return TableReading(columns, fit_table_scaling(rows, columns))
