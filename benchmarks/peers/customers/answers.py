"""What usual tools say of customers: churn, spend and segment, untuned.

Each line asked names three files: rows to learn from, rows to speak of, and where to answer.
LightGBM with its defaults; logistic regression (ridge for log spend) on standardised features;
BG/NBD with Gamma-Gamma, fitted to the customers spoken of, its segments by a logistic regression on
the chance and the log of the spend that it expects; and the mean of the three.
"""

import json
import os
import sys
import warnings
from typing import Any

import lightgbm
import numpy as np
from lifetimes import BetaGeoFitter, GammaGammaFitter
from lifetimes.utils import ConvergenceError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HISTORY = ("order_days_ever", "recency_days", "tenure_days", "gross_ever")
SEED = 0


class Rows:
    """Features, and what came of them where it is known."""

    def __init__(self, path: Any, names: Any, horizon: Any) -> None:
        with np.load(path) as held:
            self.features = held["features"].astype(np.float64)
            self.as_ofs = held["as_ofs"]
            self.spend = held.get("spend")
            self.segment = held.get("segment")
        self.history = self.features[:, [names.index(each) for each in HISTORY]]
        self.horizon = horizon
        bent = np.sign(self.features) * np.log1p(np.abs(self.features))
        self.flat = np.nan_to_num(bent, posinf=0.0, neginf=0.0)


def boosted(train: Any, test: Any) -> Any:
    """LightGBM with its defaults."""
    how = {"random_state": SEED, "n_jobs": 1, "verbose": -1, "deterministic": True}
    chance = lightgbm.LGBMClassifier(**how).fit(train.features, train.spend > 0)
    logs = lightgbm.LGBMRegressor(**how).fit(train.features, np.log1p(train.spend))
    segment = lightgbm.LGBMClassifier(**how).fit(train.features, train.segment)
    return (
        chance.predict_proba(test.features)[:, 1],
        logs.predict(test.features),
        spread(segment, segment.predict_proba(test.features)),
    )


def straight(train: Any, test: Any) -> Any:
    """Regressions on the signed logs of the features."""

    def scaled(model: Any) -> Any:
        return make_pipeline(StandardScaler(), model)

    chance = scaled(LogisticRegression(max_iter=2000)).fit(train.flat, train.spend > 0)
    logs = scaled(Ridge()).fit(train.flat, np.log1p(train.spend))
    segment = scaled(LogisticRegression(max_iter=2000)).fit(train.flat, train.segment)
    return (
        chance.predict_proba(test.flat)[:, 1],
        logs.predict(test.flat),
        spread(segment, segment.predict_proba(test.flat)),
    )


def customer_base(train: Any, test: Any) -> Any:
    """BG/NBD and Gamma-Gamma."""
    chance, logs = expected(test.history, test.history, test.horizon)
    last = train.as_ofs == train.as_ofs.max()
    known = expected(train.history[last], train.history, train.horizon)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(columns(*known), train.segment)
    return chance, logs, spread(model, model.predict_proba(columns(chance, logs)))


def expected(fitted_to: Any, rows: Any, horizon: Any) -> Any:
    """Chance of an order, and log of 1 + expected spend."""
    orders, values = fits(fitted_to)
    repeats, recency, age, value = summary(rows)
    alive = np.asarray(orders.conditional_probability_alive(repeats, recency, age))
    r, alpha = orders.params_["r"], orders.params_["alpha"]
    quiet = ((alpha + age) / (alpha + age + horizon)) ** (r + repeats)
    count = np.asarray(
        orders.conditional_expected_number_of_purchases_up_to_time(horizon, repeats, recency, age)
    )
    each = np.asarray(values.conditional_expected_average_profit(repeats, value))
    return alive * (1.0 - quiet), np.log1p(np.nan_to_num(np.maximum(count * each, 0.0)))


def fits(history: Any) -> Any:
    """Both models; a small penalty where they have no maximum without."""
    repeats, recency, age, value = summary(history)
    kept = (repeats > 0) & (value > 0)
    return (
        penalised(BetaGeoFitter, repeats, recency, age),
        penalised(GammaGammaFitter, repeats[kept], value[kept]),
    )


def penalised(kind: Any, *data: Any) -> Any:
    """Fit without a penalty, else with ever larger ones."""
    for penalty in (0.0, 0.001, 0.01, 0.1):
        try:
            return kind(penalizer_coef=penalty).fit(*data)
        except ConvergenceError as error:
            last = error
    raise last


def summary(history: Any) -> Any:
    """Repeats, recency, age and mean value, as these models want them."""
    days, since, tenure, gross = history.T
    repeats = np.maximum(days - 1, 0)
    recency = np.where(repeats > 0, tenure - since, 0.0)
    return repeats, np.clip(recency, 0.0, tenure), tenure, gross / np.maximum(days, 1)


def columns(chance: Any, logs: Any) -> Any:
    """What segments are told by."""
    kept = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.stack([np.log(kept / (1 - kept)), logs], axis=1)


def spread(model: Any, probabilities: Any) -> Any:
    """Probabilities of all four segments, though one was never seen."""
    wide = np.full((len(probabilities), 4), 1e-6)
    wide[:, np.asarray(model.classes_, int)] = probabilities
    return wide / wide.sum(axis=1, keepdims=True)


def answer(request: Any) -> Any:
    """All four answers in one file."""
    train, test = (
        Rows(request[part], request["names"], request["horizon_days"]) for part in ("train", "test")
    )
    said = {
        "lightgbm": boosted(train, test),
        "logistic_regression": straight(train, test),
        "bg_nbd": customer_base(train, test),
    }
    said["mean"] = tuple(np.mean(each, axis=0) for each in zip(*said.values(), strict=True))
    arrays = {
        f"{name}/{part}": value
        for name, parts in said.items()
        for part, value in zip(("active", "log_spend", "segments"), parts, strict=True)
    }
    np.savez(request["out"], **arrays)
    return {"answers": list(said), "lightgbm": lightgbm.__version__}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    # Libraries write to standard output past Python, where only answers may be.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
