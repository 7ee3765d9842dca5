"""Settings of a workspace are read strictly and written whole."""

import stat

import pytest

from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings, parse_settings
from shared.errors import FailedPreconditionError, InvalidArgumentError


def test_settings_survive_a_save_and_a_load(tmp_path):
    home = Home(tmp_path / "workspace")
    settings = WorkspaceSettings(
        pseudonym_key=bytes(range(32)),
        currency="GBP",
        time_zone="Europe/London",
        retention_days=400,
    )
    settings.save(home.settings_file)
    assert WorkspaceSettings.load(home.settings_file) == settings


def test_only_the_owner_can_read_the_key(tmp_path):
    file = Home(tmp_path).settings_file
    WorkspaceSettings(pseudonym_key=DEMO_PSEUDONYM_KEY).save(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["workspace.yaml"]


def test_an_unknown_key_is_refused_with_the_nearest_valid_one():
    with pytest.raises(InvalidArgumentError, match=r"unknown key 'timezone'.*'time_zone'"):
        parse_settings("timezone: UTC", "workspace.yaml")


def test_every_wrong_value_is_named_at_once():
    with pytest.raises(InvalidArgumentError) as caught:
        WorkspaceSettings(
            pseudonym_key=b"short", currency="pounds", time_zone="London", retention_days=0
        )
    for name in ("pseudonym_key", "currency", "time_zone", "retention_days"):
        assert name in caught.value.message


@pytest.mark.parametrize("text", ["- a list", "currency: [", "currency: USD", "pseudonym_key: xyz"])
def test_a_malformed_file_is_refused(text):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_settings(text, "workspace.yaml")
    assert caught.value.reason == "BAD_WORKSPACE_SETTINGS"


def test_a_folder_without_settings_says_how_to_make_them(tmp_path):
    with pytest.raises(FailedPreconditionError, match="oriel init"):
        WorkspaceSettings.load(Home(tmp_path).settings_file)


def test_each_service_has_its_own_folder_of_jobs(tmp_path):
    home = Home(tmp_path)
    assert home.jobs_path("feature") != home.jobs_path("training")
