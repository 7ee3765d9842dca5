"""What a run said of every row it was judged on, kept so that two runs can be compared there."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import load, save

NumpyArray = np.ndarray[Any, Any]

JUDGED_FILE = "judged.safetensors"
SEEN = "_seen"
"""End of the name of a value that happened; all others are what the model said."""

_POPULATION, _PLACES = "population", "places"


@dataclass(frozen=True)
class Judged:
    """Rows that a run was judged on; whom they are about is not told, only whether they are equal.

    Attributes:
        population: uint8 [32], SHA-256 of what the rows are about: equal for the same rows in the
            same order.
        places: int32 [row], places within the population; ascending, each once.
        values: What happened and what the model said, by name: [row, …].
    """

    population: NumpyArray
    places: NumpyArray
    values: Mapping[str, NumpyArray]

    @classmethod
    def of(
        cls,
        about: Sequence[NumpyArray],
        values: Mapping[str, NumpyArray],
        places: NumpyArray | None = None,
    ) -> "Judged":
        """Rows about these keys; all of them where no places are given."""
        digest = hashlib.sha256()
        for each in about:
            digest.update(np.ascontiguousarray(each).tobytes())
        if places is None:
            places = np.arange(len(about[0]))
        kept = {name: np.ascontiguousarray(each) for name, each in values.items()}
        population = np.frombuffer(digest.digest(), np.uint8)
        return cls(population, places.astype(np.int32), kept)

    @classmethod
    def read(cls, content: bytes) -> "Judged":
        """What `content` was made of."""
        values = load(content)
        return cls(values.pop(_POPULATION), values.pop(_PLACES), values)

    @property
    def content(self) -> bytes:
        """All of it as a file of the version; equal rows and values give equal bytes."""
        values = {**self.values, _POPULATION: self.population, _PLACES: self.places}
        return save(dict(sorted(values.items())))

    def at(self, chosen: NumpyArray) -> Mapping[str, NumpyArray]:
        """The values of some of the rows."""
        return {name: each[chosen] for name, each in self.values.items()}


@dataclass(frozen=True)
class Judgement:
    """The parts of evaluation.json that a judge knows, and the model's rows behind them."""

    evaluation: dict[str, Any]
    rows: Judged
