"""Keys that let senders in."""

import stat

import pytest

from shared.config.write_keys import WriteKeys
from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError


@pytest.fixture
def keys(tmp_path):
    return WriteKeys(tmp_path / "home" / "write_keys.yaml")


def test_a_key_is_known_by_its_source_and_stored_as_a_hash_only_the_owner_reads(keys, tmp_path):
    key = keys.add("website")
    assert keys.source_of(key) == "website"
    file = tmp_path / "home" / "write_keys.yaml"
    assert key not in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nobody_has_another_key(keys):
    assert keys.source_of("guessed") is None
    key = keys.add("website")
    assert [keys.source_of(each) for each in ("", key[:-1], key.upper() + "x", "\ud800")] == [
        None
    ] * 4


def test_a_source_may_have_two_keys_and_lose_one(keys):
    old, new = keys.add("website"), keys.add("website")
    assert keys.revoke(keys.all()[0].id).source == "website"
    assert (keys.source_of(old), keys.source_of(new)) == (None, "website")


def test_another_process_changes_the_keys(keys, tmp_path):
    other = WriteKeys(tmp_path / "home" / "write_keys.yaml")
    key = keys.add("website")
    assert other.source_of(key) == "website"
    keys.revoke(keys.all()[0].id)
    assert other.source_of(key) is None


def test_an_unknown_id_is_not_found(keys):
    with pytest.raises(NotFoundError, match="oriel keys list"):
        keys.revoke("12345678")


@pytest.mark.parametrize("source", ["", "Web", "1st", "a" * 64, "a b", "a\n"])
def test_a_source_needs_a_plain_name(keys, source):
    with pytest.raises(InvalidArgumentError, match="no name of a source"):
        keys.add(source)


@pytest.mark.parametrize("text", ["[", "a: 1", "- source: x", "- [1]"])
def test_a_damaged_file_is_named(keys, tmp_path, text):
    keys.add("website")
    (tmp_path / "home" / "write_keys.yaml").write_text(text)
    with pytest.raises(FailedPreconditionError, match=r"write_keys\.yaml"):
        keys.all()
