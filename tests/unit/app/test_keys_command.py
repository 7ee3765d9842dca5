"""The commands on write keys."""

import pytest
from click.testing import CliRunner

from app.cli import cli
from shared.config.home import Home, WorkspaceSettings
from shared.config.write_keys import WriteKeys
from shared.errors import FailedPreconditionError, NotFoundError


@pytest.fixture
def home(tmp_path):
    found = Home(tmp_path / "home")
    WorkspaceSettings(pseudonym_key=b"k" * 16).save(found.settings_file)
    return found


def oriel(home, *words):
    return CliRunner().invoke(cli, ["--home", str(home.path), *words])


def test_a_key_is_the_only_line_of_output_so_that_scripts_can_take_it(home):
    made = oriel(home, "keys", "add", "website")
    assert made.exit_code == 0
    assert WriteKeys(home.write_keys_file).source_of(made.stdout.strip()) == "website"
    assert "not shown again" in made.stderr


def test_keys_are_listed_by_id_and_revoked_by_it(home):
    key = oriel(home, "keys", "add", "website").stdout.strip()
    [made] = WriteKeys(home.write_keys_file).all()
    listed = oriel(home, "keys", "list").output
    assert made.id in listed
    assert "website" in listed
    assert key not in listed
    assert "revoked" in oriel(home, "keys", "revoke", made.id).output
    assert "no write keys yet" in oriel(home, "keys", "list").output
    assert isinstance(oriel(home, "keys", "revoke", made.id).exception, NotFoundError)


@pytest.mark.parametrize("words", [("add", "x"), ("list",), ("revoke", "x")])
def test_keys_belong_to_a_workspace(tmp_path, words):
    found = oriel(Home(tmp_path / "none"), "keys", *words)
    assert isinstance(found.exception, FailedPreconditionError)
