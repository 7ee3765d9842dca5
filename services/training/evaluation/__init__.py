"""Judgement of predictions on later time, with standard errors and beside baselines."""
