"""A verdict follows the interval of the difference to the best of the others."""

import numpy as np
import pytest

from benchmarks.quality import table, verdict
from services.training.evaluation.bootstrap import Scores


def scores(value, spread=0.001, metric="auc"):
    samples = value + spread * np.random.default_rng(round(value * 1e6)).normal(size=400)
    return Scores({metric: value}, {metric: samples})


def test_more_than_the_best_of_the_others_is_better():
    found = verdict({"ours": scores(0.8), "a": scores(0.7), "b": scores(0.79)}, "auc")
    assert (found["best"], found["verdict"]) == ("b", "better")
    assert found["gain"] == pytest.approx(0.01)


def test_less_loss_is_better_and_more_is_worse():
    losses = {name: scores(value, metric="log_loss") for name, value in (("ours", 0.5), ("a", 0.6))}
    assert verdict(losses, "log_loss")["verdict"] == "better"
    swapped = {"ours": losses["a"], "a": losses["ours"]}
    found = verdict(swapped, "log_loss")
    assert found["verdict"] == "worse"
    assert found["low"] <= found["gain"] <= found["high"] < 0


def test_a_difference_that_could_be_chance_is_a_tie():
    near = {"ours": scores(0.8, 0.05), "a": scores(0.799, 0.05)}
    assert verdict(near, "auc")["verdict"] == "tie"


def test_the_table_has_a_row_for_each_verdict_calibration_and_intervals():
    each = verdict({"ours": scores(0.8), "a": scores(0.7)}, "auc")
    metrics = {"coverage": 0.9, "coverage_of_buyers": 0.9, "interval_score": 10.0}
    found = {
        "judged_at": "2011-06-12",
        "verdicts": {"auc": each},
        "calibration": {"error": 0.01, "by_chance": 0.02},
        "intervals": {"ours": metrics, "cells": metrics},
        "interval_score_difference": {"value": -2.0, "low": -3.0, "high": -1.0},
    }
    rows = table({"shop": found}).splitlines()
    assert len(rows) == 5
    assert "+0.1000" in rows[2]
    assert rows[3].endswith("| within |")
    assert "+2.0 (+1.0 to +3.0) | better |" in rows[4]
