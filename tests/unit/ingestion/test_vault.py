"""The vault keeps whom keys stand for, and never two for one key."""

import stat

import pytest

from services.ingestion.adapters.vault import SqliteVault
from services.ingestion.usecases.ports import Layout, Letter
from shared.errors import FailedPreconditionError

LARGE = (1 << 64) - 1
LAYOUT = Layout("csv", "order_lines", ("a", "b"), ";")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "vault.sqlite"


def test_keys_of_all_64_bits_are_remembered_across_starts(path):
    vault = SqliteVault(path)
    vault.remember([1, LARGE], ["ana", "bo"])
    vault.remember([], [])
    vault.close()
    again = SqliteVault(path)
    assert again.source_ids([LARGE, 5, 1]) == ["bo", "", "ana"]
    again.remember([1, 2], ["ana", "cy"])
    assert again.source_ids([2]) == ["cy"]
    again.close()


def test_a_second_id_for_a_key_is_refused_and_the_first_stays(path):
    vault = SqliteVault(path)
    vault.remember([7], ["ana"])
    vault.close()
    again = SqliteVault(path)
    with pytest.raises(FailedPreconditionError) as caught:
        again.remember([7, 8], ["bo", "cy"])
    assert caught.value.reason == "PSEUDONYM_COLLISION"
    assert "ana" not in caught.value.message
    assert again.source_ids([7]) == ["ana"]
    again.close()


def test_letters_come_back_with_their_bytes_and_layout(path):
    vault = SqliteVault(path)
    letter = Letter("id", b"\xff\x00;2", LAYOUT)
    vault.keep([letter])
    vault.keep([Letter("id", b"other", LAYOUT)])
    vault.keep([])
    vault.close()
    again = SqliteVault(path)
    assert again.letters(["id", "unknown"]) == {"id": letter}
    again.close()


def test_more_keys_than_a_statement_takes(path):
    vault = SqliteVault(path)
    keys = list(range(1, 70_001))
    names = [str(key) for key in keys]
    vault.remember(keys, names)
    assert vault.source_ids(keys) == names
    vault.close()


def test_only_its_owner_can_read_it(path):
    SqliteVault(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
