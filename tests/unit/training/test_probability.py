"""Measures of probabilities and decisions, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sk

from services.training.evaluation import probability as measures

LABELS = np.array([True, False, True, True, False])
CHANCES = np.array([0.9, 0.6, 0.4, 0.7, 0.2])
ONCE = np.ones(5)


def test_log_loss_and_brier_agree_with_scikit_learn():
    assert measures.log_loss(LABELS, CHANCES)(ONCE) == pytest.approx(sk.log_loss(LABELS, CHANCES))
    expected = sk.brier_score_loss(LABELS, CHANCES)
    assert measures.brier(LABELS, CHANCES)(ONCE) == pytest.approx(expected)


def test_decisions_are_counted_by_hand():
    # Told: yes yes no yes no; so 2 hits, 1 false alarm, 1 missed.
    assert measures.accuracy(LABELS, CHANCES)(ONCE) == pytest.approx(3 / 5)
    assert measures.recall(LABELS, CHANCES)(ONCE) == pytest.approx(2 / 3)
    assert measures.precision(LABELS, CHANCES)(ONCE) == pytest.approx(2 / 3)
    assert measures.f1(LABELS, CHANCES)(ONCE) == pytest.approx(2 / 3)


def test_a_certain_mistake_costs_much_but_not_infinity():
    loss = measures.log_loss(np.array([True]), np.array([0.0]))(np.ones(1))
    assert 10 < loss < 20


def test_nothing_found_is_an_f1_of_zero_and_no_precision():
    labels, chances = np.array([True, False]), np.array([0.1, 0.1])
    assert measures.f1(labels, chances)(np.ones(2)) == 0.0
    assert np.isnan(measures.precision(labels, chances)(np.ones(2)))


def test_class_measures_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 50)
    chances = rng.dirichlet(np.ones(4), 50)
    once = np.ones(50)
    decided = chances.argmax(axis=1)
    accuracy = sk.accuracy_score(classes, decided)
    assert measures.class_accuracy(classes, chances)(once) == pytest.approx(accuracy)
    macro = sk.f1_score(classes, decided, average="macro", zero_division=0)
    assert measures.class_macro_f1(classes, chances)(once) == pytest.approx(macro)
    assert measures.class_log_loss(classes, chances)(once) == pytest.approx(
        sk.log_loss(classes, chances, labels=[0, 1, 2, 3])
    )


def test_weights_count_users_as_often_as_they_say():
    weights = np.array([2.0, 0.0, 1.0, 0.0, 0.0])
    assert measures.accuracy(LABELS, CHANCES)(weights) == pytest.approx(2 / 3)
