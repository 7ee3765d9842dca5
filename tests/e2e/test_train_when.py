"""Questions of when something happens as people ask them: a file in, a judged version out."""

import json
from pathlib import Path

import pytest

from pipelines.simulator import simulate
from tests.e2e.test_train import manifest, oriel, trained_quickly

__all__ = ["trained_quickly"]

SILENT = "name: silent\ntarget: {kind: churn, absent: event}\nhorizon: 30d\n"
VIEWED = "name: viewed\ntarget: {kind: event, happens: Product Viewed}\nhorizon: 30d\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with a simulated shop."""
    folder = tmp_path_factory.mktemp("when")
    oriel("--home", folder / "home", "init")
    events = simulate(seed=3, users=150).write(folder / "events.jsonl")
    oriel("--home", folder / "home", "ingest", events, "--mapping", "segment")
    return folder / "home"


def asked(folder, text):
    path = Path(folder) / "question.yaml"
    path.write_text(text)
    return path


def test_a_question_about_any_event_is_checked_explained_and_asks_those_who_never_bought(
    home, tmp_path
):
    for text in (SILENT, VIEWED):
        file = asked(tmp_path, text)
        assert "can be trained" in oriel("--home", home, "prediction", "check", file)
        explained = oriel("--home", home, "prediction", "explain", file)
        assert "everybody" in explained
        assert "happened to" in explained


@pytest.mark.slow
def test_silence_is_trained_and_judged_beside_a_baseline(home, tmp_path):
    printed = oriel("--home", home, "train", asked(tmp_path, SILENT))
    for words in ("concordance", "integrated brier", "logistic regression", "2 networks of"):
        assert words in printed
    path = manifest(home, "silent")
    stored = json.loads(path.read_text())
    assert (stored["kind"], stored["awaited"]) == ("waits", "event")
    card = (path.parent / "model_card.md").read_text()
    assert "how probable any event of every user is" in card
