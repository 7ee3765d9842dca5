"""Tables for the report."""

import numpy as np
import pytest

from services.training.evaluation.tables import calibration_table, lift_table


def test_lift_takes_users_by_falling_probability_and_gain_ends_at_all():
    chances = np.linspace(1, 0, 20)
    active = np.arange(20) < 4
    rows = lift_table(chances, active, np.where(active, 5.0, 0.0))
    assert [row["users"] for row in rows] == [2] * 10
    assert rows[0]["lift"] == pytest.approx(5.0)
    assert [row["gain"] for row in rows[:3]] == pytest.approx([0.5, 1.0, 1.0])
    assert sum(row["spend"] for row in rows) == pytest.approx(20.0)


def test_fewer_users_than_deciles_leave_no_empty_row():
    assert len(lift_table(np.array([0.2, 0.1]), np.array([True, False]), np.zeros(2))) == 2


def test_calibration_compares_what_was_said_with_what_was():
    chances = np.repeat([0.1, 0.9], 50)
    active = np.concatenate([np.arange(50) < 5, np.arange(50) < 45])
    rows = calibration_table(chances, active, bins=2)
    assert [row["predicted"] for row in rows] == pytest.approx([0.1, 0.9])
    assert [row["observed"] for row in rows] == pytest.approx([0.1, 0.9])
