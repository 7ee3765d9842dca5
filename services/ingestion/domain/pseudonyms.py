"""Ids of the source in, keyed pseudonyms out; each distinct id is hashed once."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.privacy import may_hold_address
from shared.names import anonymous_key, user_key

Keys = npt.NDArray[np.uint64]

_MOST_REMEMBERED = 2_000_000


@dataclass(frozen=True)
class Keyed:
    """A column of pseudonyms and whom they stand for."""

    keys: Keys
    """0 where the row names nobody."""
    distinct_keys: Keys
    distinct_ids: list[str]


class Pseudonymiser:
    """Keys ids under the workspace's secret and remembers those it met."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._users: dict[str, int] = {}
        self._visitors: dict[str, int] = {}

    def users(self, ids: pa.Array) -> Keyed:
        """Key the ids of known users."""
        return self._keyed(ids, self._users, user_key)

    def visitors(self, ids: pa.Array) -> Keyed:
        """Key the ids of anonymous visitors."""
        return self._keyed(ids, self._visitors, anonymous_key)

    def masked(self, ids: pa.Array) -> pa.Array:
        """Return ids of messages, those with an e-mail address in them as keyed digests."""
        if not may_hold_address(ids):
            return ids
        secret = self._secret
        texts = [
            hmac.digest(secret, f"message:{text}".encode(), hashlib.sha256).hex()[:32]
            if text is not None and ("@" in text or "%40" in text)
            else text
            for text in ids.to_pylist()
        ]
        return pa.array(texts, pa.string())

    def _keyed(
        self, ids: pa.Array, known: dict[str, int], key_of: Callable[[bytes, str], int]
    ) -> Keyed:
        coded = pc.dictionary_encode(ids)
        distinct: list[str] = coded.dictionary.to_pylist()
        keys = np.zeros(len(distinct) + 1, dtype=np.uint64)
        if len(known) > _MOST_REMEMBERED:
            known.clear()
        for place, text in enumerate(distinct):
            key = known.get(text)
            if key is None:
                key = known[text] = key_of(self._secret, text)
            keys[place] = key
        places = coded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        return Keyed(keys[places], keys[:-1], distinct)


def id_text(column: pa.Array) -> pa.Array:
    """Return ids as text: trimmed, whole numbers without a fraction, empty as null.

    Tools that know no missing integers write 17850 as 17850.0.

    >>> id_text(pa.array([17850.0, None])).to_pylist()
    ['17850', None]
    """
    kind = column.type
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        if pc.all(pc.fill_null(pc.equal(column, pc.floor(column)), True)).as_py():
            column = column.cast(pa.int64(), safe=False)
    texts = column.cast(pa.string())
    if pa.types.is_string(kind):
        data = texts.buffers()[2]
        held = data.to_pybytes() if data is not None else b""
        texts = pc.utf8_trim_whitespace(texts)
        if b".0" in held:
            is_fraction = pc.match_substring_regex(texts, r"^[0-9]+\.0+$")
            texts = pc.if_else(is_fraction, pc.replace_substring_regex(texts, r"\.0+$", ""), texts)
    is_empty = pc.equal(pc.binary_length(texts), 0)
    if not pc.any(is_empty).as_py():
        return texts
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), texts)
