"""Versions as a registry has them, compared."""

import json

import pytest

from services.training.runs.comparing import LESS_IS_BETTER, MORE_IS_BETTER, compare
from shared.registry import ModelRegistry

NEAR_A_NUMBER = {"coverage", "coverage_of_buyers"}


def published(folder, result, files=None, **manifest):
    """A version of a run's result, with some files and some of its manifest changed."""
    registry = ModelRegistry(folder)
    return registry.publish("m", {**result.files, **(files or {})}, {**result.manifest, **manifest})


def tells_again_what_was_judged(folder, result):
    """Whether the rows that were kept have every metric of the evaluation."""
    version = published(folder, result)
    found = compare(version, version)
    evaluation = json.loads(result.files["evaluation.json"])
    known = {name: each["value"] for name, each in evaluation["metrics"]["model"].items()}
    again = {pair.metric: pair.first.value for pair in found.pairs}
    assert set(again) <= MORE_IS_BETTER | LESS_IS_BETTER | NEAR_A_NUMBER
    assert {pair.verdict for pair in found.pairs} <= {"tie", ""}
    return {name: again[name] for name in known} == pytest.approx(known, rel=1e-9)
