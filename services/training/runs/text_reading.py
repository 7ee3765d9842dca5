"""Texts to what a model reads: words in their order, and how much is said of each word or pair."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer

from services.training.runs.table_config import MOST_TOKENS
from shared.dataset.tables import TableRows
from shared.errors import FailedPreconditionError

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

TOKENIZER_FILE = "tokenizer.json"

WORDS = 8_192
"""Rows of the embedding: no word, an unknown word, and the most frequent ones."""

_FIRST_WORD = 2
_PATTERN = r"(?u)\b\w[\w']*\b|[!?]"
_LEAST_TEXTS = 2
"""Texts that a word or a pair must be met in."""


@dataclass(frozen=True)
class Terms:
    """Words and pairs of words met in some columns together.

    Attributes:
        columns: Places of the columns whose texts are read one after the other.
        names: Each word or pair.
        weights: float32, how much each tells texts apart (inverse document frequency).
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    weights: NumpyArray

    @cached_property
    def vectorizer(self) -> CountVectorizer:
        """What counts them."""
        return _vectorizer(vocabulary=list(self.names))

    def matrix(self, texts: NumpyArray) -> csr_matrix:
        """Weight of each term in each text; a text's squares add up to 1."""
        counted = self.vectorizer.transform(_joined(texts, self.columns)).astype(np.float32)
        counted.data = (1.0 + np.log(counted.data)) * self.weights[counted.indices]
        norm = np.sqrt(np.asarray(counted.multiply(counted).sum(axis=1))[:, 0])
        row = np.repeat(np.arange(counted.shape[0]), np.diff(counted.indptr))
        counted.data /= np.maximum(norm[row], 1e-12)
        counted.sort_indices()
        return counted


@dataclass(frozen=True)
class TextReading:
    """A tokenizer fitted on some texts, and the terms found in them.

    Attributes:
        words: Words that the network tells apart, the most frequent ones first.
        terms: Of all columns together and, where there are two, of the first alone.
    """

    words: tuple[str, ...]
    terms: tuple[Terms, ...]

    size = WORDS

    @property
    def weights(self) -> Mapping[str, NumpyArray]:
        """Nothing: a text is read before the program."""
        return {}

    @property
    def files(self) -> Mapping[str, bytes]:
        """What reads texts for this version of a model."""
        stored = {
            "pattern": _PATTERN,
            "lower_case": True,
            "most_tokens": MOST_TOKENS,
            "first_word": _FIRST_WORD,
            "words": self.words,
            "terms": [
                {
                    "columns": each.columns,
                    "names": each.names,
                    "weights": [round(float(weight), 6) for weight in each.weights],
                }
                for each in self.terms
            ],
        }
        return {TOKENIZER_FILE: json.dumps(stored, ensure_ascii=False).encode() + b"\n"}

    def raw(self, rows: TableRows) -> dict[str, NumpyArray]:
        """What the program takes: tokens, terms and the weights of these."""
        design = self.design(rows)
        counts = np.diff(design.indptr)
        most = max(int(counts.max(initial=0)), 1)
        terms = np.zeros((len(rows), most), np.int32)
        weights = np.zeros((len(rows), most), np.float32)
        row = np.repeat(np.arange(len(rows)), counts)
        place = np.arange(len(design.data)) - np.repeat(design.indptr[:-1], counts)
        terms[row, place], weights[row, place] = design.indices, design.data
        return {"tokens": self.tokens(rows), "terms": terms, "term_weights": weights}

    def network(self, rows: TableRows) -> dict[str, NumpyArray]:
        """What a network is fitted to."""
        tokens = self.tokens(rows)
        return {"tokens": tokens, "mask": _mask(tokens)}

    def design(self, rows: TableRows) -> csr_matrix:
        """What a straight line is fitted to: the weights of all terms."""
        return hstack([each.matrix(rows.texts) for each in self.terms], format="csr")

    def branches(self, rows: TableRows) -> None:
        """Nothing: no trees are grown on texts."""
        del rows

    def tokens(self, rows: TableRows) -> NumpyArray:
        """Places of words: int32 [row, MOST_TOKENS]; 0 is no word, 1 one that is not known."""
        place = {word: number for number, word in enumerate(self.words, _FIRST_WORD)}
        split = _vectorizer(ngram_range=(1, 1)).build_analyzer()
        tokens = np.zeros((len(rows), MOST_TOKENS), np.int32)
        joined = _joined(rows.texts, tuple(range(rows.texts.shape[1])))
        for number, text in enumerate(joined):
            found = [place.get(word, 1) for word in split(text)[:MOST_TOKENS]]
            tokens[number, : len(found)] = found
        return tokens


def fit_text_reading(rows: TableRows) -> TextReading:
    """Fit on the texts of these rows and nothing else."""
    everything = tuple(range(rows.texts.shape[1]))
    blocks = [everything] if len(everything) == 1 else [everything, (0,)]
    counter = _vectorizer(ngram_range=(1, 1), min_df=_LEAST_TEXTS)
    counts = counter.fit_transform(_joined(rows.texts, everything))
    names, total = counter.get_feature_names_out(), np.asarray(counts.sum(axis=0))[0]
    order = np.lexsort((np.arange(len(total)), -total))[: WORDS - _FIRST_WORD]
    return TextReading(
        tuple(map(str, names[order])),
        tuple(_fit_terms(rows.texts, columns) for columns in blocks),
    )


def text_fields(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What a network takes, in the program."""
    return {"tokens": inputs["tokens"], "mask": inputs["tokens"] > 0}


def text_line(coefficients: Array, inputs: Mapping[str, Array]) -> Array:
    """What a straight line says, in the program; the intercept is the last coefficient."""
    chosen = jnp.take(coefficients, inputs["terms"], axis=0)
    return (chosen * inputs["term_weights"]).sum(axis=1) + coefficients[-1]


def require_read_on(used: TextReading, train: TableRows) -> None:
    """Refuse a vocabulary that other texts than these have had a part in.

    Raises:
        FailedPreconditionError: Names a word or pair that was fitted on rows that judge.
    """
    honest = fit_text_reading(train)
    for mine, other in ((used.words, honest.words), *_pairs(used, honest)):
        if mine != other:
            word = next(iter(set(mine) - set(other)), mine[0])
            raise FailedPreconditionError(
                f"the vocabulary has {word!r} from texts that it is judged on; fit it on the "
                "training rows of the fold alone",
                reason="FITTED_ON_HELD_OUT_ROWS",
                word=word,
            )


def _pairs(used: TextReading, honest: TextReading) -> list[tuple[tuple[str, ...], ...]]:
    return [(a.names, b.names) for a, b in zip(used.terms, honest.terms, strict=True)]


def _fit_terms(texts: NumpyArray, columns: tuple[int, ...]) -> Terms:
    counter = _vectorizer(min_df=_LEAST_TEXTS)
    counted = counter.fit_transform(_joined(texts, columns))
    met = np.diff(counted.tocsc().indptr)
    weights = np.log((1.0 + len(texts)) / (1.0 + met)) + 1.0
    names = tuple(map(str, counter.get_feature_names_out()))
    return Terms(columns, names, weights.astype(np.float32))


def _vectorizer(**settings: Any) -> CountVectorizer:
    return CountVectorizer(**{"token_pattern": _PATTERN, "ngram_range": (1, 2), **settings})


def _joined(texts: NumpyArray, columns: tuple[int, ...]) -> list[str]:
    return [" . ".join(str(cell) for cell in row) for row in texts[:, list(columns)]]


def _mask(tokens: NumpyArray) -> NumpyArray:
    mask: NumpyArray = tokens > 0
    return mask
