"""The command line teaches, and refuses in two lines."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app import cli as cli_module
from app.cli import cli
from app.commands.mapping import demo_workspace, text_or_name
from app.commands.place import Place
from app.reference import page


@pytest.fixture
def oriel(tmp_path, monkeypatch, capsys):
    """Run the command as the shell does; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORIEL_HOME", raising=False)
    monkeypatch.setattr(cli_module.signal, "signal", lambda *_: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["oriel", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli_module.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_says_what_it_does(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    if name not in ("doctor", "version"):
        assert "Examples:" in result.output


def test_help_names_the_exit_codes_and_where_to_start(oriel):
    code, out, _ = oriel("--help")
    assert code == 0
    assert "Exit codes:" in out
    assert "oriel run" in out


def test_version_names_what_oriel_stands_on(oriel):
    code, out, _ = oriel("version")
    assert code == 0
    assert out.startswith("oriel ")
    assert "chdb" in out


def test_an_unknown_option_is_a_usage_error(oriel):
    assert oriel("run", "--evnts", "x.csv")[0] == 2


def test_a_missing_file_is_a_usage_error_without_a_traceback(oriel):
    code, _, err = oriel("run", "--events", "nothing.csv")
    assert code == 2
    assert "nothing.csv" in err
    assert "Traceback" not in err


def test_a_command_without_a_workspace_says_how_to_make_one(oriel):
    code, _, err = oriel("rejects")
    assert code == 3
    assert err.splitlines()[0].startswith("error: ")
    assert err.splitlines()[1] == "  try: oriel init"


def test_init_makes_a_workspace_once(oriel, tmp_path):
    assert oriel("init", "--currency", "gbp", "--time-zone", "Europe/London")[0] == 0
    text = (tmp_path / ".oriel" / "workspace.yaml").read_text()
    assert "currency: GBP" in text
    code, _, err = oriel("init")
    assert code == 3
    assert "--home" in err


def test_two_workspaces_have_different_keys(oriel, tmp_path):
    oriel("--home", "a", "init")
    oriel("--home", "b", "init")
    assert (tmp_path / "a/workspace.yaml").read_text() != (
        tmp_path / "b/workspace.yaml"
    ).read_text()


def test_a_wrong_zone_is_refused_before_anything_is_written(oriel, tmp_path):
    code, _, err = oriel("init", "--time-zone", "London")
    assert code == 2
    assert "Europe/London" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["minst"], "there are bank, churn_90d, cifar10"),
        (["churn_90d", "--epochs", "3"], "--epochs is for images"),
        (["wrong.yaml"], "did you mean 'source'"),
        (["mnist", "--epochs", "0"], "x>=1"),
        (["picture.yaml"], "the text is not YAML"),
        (["mnist", "--workers", "2"], "--groups and --placement are for --runtime ps; add it"),
        (["mnist", "--groups", "2"], "--groups and --placement are for --runtime ps; add it"),
        (["mnist", "--placement", "ray"], "--placement are for --runtime ps; add it"),
        (["bank", "--runtime", "ps"], "bank is trained in one process; leave --runtime out"),
        (["bank", "--epochs", "3"], "--epochs is for images; bank asks of table"),
        (["mnist", "--runtime", "ps", "--groups", "2"], "one network answers mnist; leave it out"),
    ],
)
def test_a_mistake_in_what_to_train_is_a_usage_error(oriel, tmp_path, arguments, message):
    (tmp_path / "picture.yaml").write_bytes(bytes(range(256)))
    (tmp_path / "wrong.yaml").write_text("name: a\nsource: {images: b}\nsourze: 1\n")
    code, _, err = oriel("train", *arguments)
    assert code == 2
    assert message in " ".join(err.split())


def test_built_in_mappings_are_listed_and_printed(oriel):
    assert "order_lines" in oriel("mappings")[1]
    assert "name: order_lines" in oriel("mappings", "order_lines")[1]
    code, _, err = oriel("mappings", "order_line")
    assert code == 2
    assert "order_lines" in err


def test_a_mapping_is_a_name_or_the_text_of_a_file(tmp_path):
    file = tmp_path / "ours.yaml"
    file.write_text("name: ours\ncurrency: eur\ntime_zone: Europe/Berlin\n")
    assert text_or_name("order_lines") == "order_lines"
    assert text_or_name(None) == ""
    settings = demo_workspace(text_or_name(str(file)))
    assert (settings.currency, settings.time_zone) == ("EUR", "Europe/Berlin")
    assert demo_workspace("order_lines").currency == "USD"
    assert demo_workspace(text_or_name(str(file)), "GBP", "UTC").currency == "GBP"


def test_the_default_workspace_is_beside_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Place(None).home.path == tmp_path / ".oriel"


def test_the_reference_page_is_fresh():
    written = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()
    assert written == page(), "run python -m app.reference > docs/reference/cli.md"
