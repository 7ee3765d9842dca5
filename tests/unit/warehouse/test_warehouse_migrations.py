import re

import pytest

from shared.errors import FailedPreconditionError, UnavailableError
from shared.warehouse import migrate, open_embedded, require_migrated
from shared.warehouse.migrations import MIGRATIONS, shipped, split

FIRST = "CREATE TABLE IF NOT EXISTS a (v UInt8) ENGINE = MergeTree ORDER BY v; -- the first\n"
SECOND = "CREATE TABLE IF NOT EXISTS b (v UInt8) ENGINE = MergeTree ORDER BY v"

SAFE_TWICE = re.compile(r"\b(IF NOT EXISTS|IF EXISTS|OR REPLACE)\b|^ALTER TABLE \w+ UPDATE ")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_first.sql").write_text(FIRST + SECOND)
    return tmp_path / "migrations"


@pytest.fixture
def warehouse(tmp_path):
    with open_embedded(tmp_path / "data") as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\n\nSELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("-- a; comment\nSELECT 1 /* and; another */ ;", ["SELECT 1"]),
        ("SELECT 'a;b''c\\'d--e', `f;g`", ["SELECT 'a;b''c\\'d--e', `f;g`"]),
    ],
)
def test_a_file_is_cut_into_its_statements(text, statements):
    assert split(text) == statements


def test_latest_pins_the_last_migration_and_numbers_have_no_gaps():
    names = [migration.name for migration in shipped()]
    assert (MIGRATIONS / "LATEST").read_text().split() == names[-1:]
    assert [int(name.split("_")[0]) for name in names] == list(range(1, len(names) + 1))


@pytest.mark.parametrize("migration", shipped(), ids=lambda migration: migration.name)
def test_every_shipped_statement_may_run_twice(migration):
    for statement in migration.statements:
        assert SAFE_TWICE.search(statement)


@pytest.mark.parametrize("migration", shipped(), ids=lambda migration: migration.name)
def test_every_shipped_table_argues_for_its_order(migration):
    text = (MIGRATIONS / f"{migration.name}.sql").read_text()
    if "CREATE TABLE" in text:
        assert re.search(r"^-- .*ORDER BY", text, re.MULTILINE)


def test_a_migration_cut_short_is_run_again(warehouse, folder):
    warehouse.execute(FIRST.split(";")[0])
    assert migrate(warehouse, folder) == ["0001_first"]
    assert migrate(warehouse, folder) == []


def test_a_migration_changed_after_it_was_applied_is_refused_by_name(warehouse, folder):
    migrate(warehouse, folder)
    (folder / "0001_first.sql").write_text(FIRST + "-- only the comment differs\n" + SECOND)
    assert migrate(warehouse, folder) == []
    (folder / "0001_first.sql").write_text(FIRST)
    with pytest.raises(FailedPreconditionError, match="0001_first") as caught:
        migrate(warehouse, folder)
    assert caught.value.reason == "MIGRATION_CHANGED"


def test_a_migration_of_a_newer_oriel_is_left_alone(warehouse, folder):
    migrate(warehouse, folder)
    (folder / "0001_first.sql").rename(folder / "0000_other.sql")
    (folder / "0000_other.sql").write_text(SECOND)
    assert migrate(warehouse, folder) == ["0000_other"]


def test_who_waits_for_the_tables_is_told_which_migration_is_lacking(warehouse, folder):
    with pytest.raises(UnavailableError, match="lacks the migration 0001_first") as caught:
        require_migrated(warehouse, folder)
    assert caught.value.reason == "SCHEMA_NOT_READY"
    migrate(warehouse, folder)
    require_migrated(warehouse, folder)
    (folder / "0002_second.sql").write_text(SECOND)
    with pytest.raises(UnavailableError, match="lacks the migration 0002_second"):
        require_migrated(warehouse, folder)
    migrate(warehouse, folder)
    (folder / "0002_second.sql").unlink()
    require_migrated(warehouse, folder)
