"""Measures of order, against scikit-learn, scipy and hands."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from services.training.evaluation.ranking import (
    auc,
    average_precision,
    normalised_gini,
    spearman,
)

ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=4, max_size=40
)


def drawn(rows):
    """Labels, scores with ties, weights, and the rows repeated by weight."""
    labels, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    again = np.repeat(np.arange(len(rows)), weights)
    return labels.astype(bool), scores.astype(float), weights.astype(float), again


@given(ROWS)
def test_weighted_auc_is_the_auc_of_the_repeated_rows(rows):
    labels, scores, weights, again = drawn(rows)
    if len(set(labels[again])) < 2:
        assert np.isnan(auc(labels, scores)(weights))
        return
    expected = roc_auc_score(labels[again], scores[again])
    assert auc(labels, scores)(weights) == pytest.approx(expected)


@given(ROWS)
def test_weighted_average_precision_is_that_of_the_repeated_rows(rows):
    labels, scores, weights, again = drawn(rows)
    if not labels[again].any():
        assert np.isnan(average_precision(labels, scores)(weights))
        return
    expected = average_precision_score(labels[again], scores[again])
    assert average_precision(labels, scores)(weights) == pytest.approx(expected)


@given(ROWS)
def test_weighted_spearman_is_that_of_the_repeated_rows(rows):
    labels, scores, weights, again = drawn(rows)
    actual = labels * 2.0 + scores % 2
    if len(set(actual[again])) < 2 or len(set(scores[again])) < 2:
        return
    expected = spearmanr(actual[again], scores[again]).statistic
    assert spearman(actual, scores)(weights) == pytest.approx(expected)


def test_gini_is_one_for_the_perfect_order_and_minus_one_for_its_reverse():
    spend = np.array([0.0, 1.0, 2.0, 10.0])
    assert normalised_gini(spend, spend * 3)(np.ones(4)) == pytest.approx(1.0)
    assert normalised_gini(spend, -spend)(np.ones(4)) == pytest.approx(-1.0)


def test_gini_of_a_constant_prediction_is_zero():
    assert normalised_gini(np.array([0.0, 4.0, 1.0]), np.zeros(3))(np.ones(3)) == pytest.approx(0.0)


def test_gini_without_any_spend_is_not_defined():
    assert np.isnan(normalised_gini(np.zeros(3), np.arange(3.0))(np.ones(3)))
