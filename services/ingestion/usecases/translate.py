"""Translates between ids of the source and pseudonyms."""

from collections.abc import Sequence

import pyarrow as pa

from services.ingestion.domain.pseudonyms import Pseudonymiser, id_text
from services.ingestion.usecases.ports import Vault
from shared.errors import InvalidArgumentError

MOST_IDS = 100_000


def source_ids_of(vault: Vault, keys: Sequence[int]) -> list[str]:
    """Return whom keys stand for; empty where the vault does not know."""
    _check(len(keys))
    return vault.source_ids(keys)


def user_keys_of(pseudonyms: Pseudonymiser, source_ids: Sequence[str]) -> list[int]:
    """Return the keys of ids, read as an import reads them; 0 for an empty id."""
    _check(len(source_ids))
    keys: list[int] = pseudonyms.users(id_text(pa.array(source_ids, pa.string()))).keys.tolist()
    return keys


def _check(count: int) -> None:
    if count > MOST_IDS:
        raise InvalidArgumentError(
            f"{count} ids in one request; send at most {MOST_IDS}",
            reason="TOO_MANY_IDS",
            count=count,
            limit=MOST_IDS,
        )
