"""Customers of planted groups, as a model would place them and as a warehouse knows them."""

import numpy as np

from pipelines.segments.profiles import Facts

KINDS = {
    "loyal": {"recency_days": 10, "tenure_days": 500, "orders_ever": 30, "basket_mean": 90},
    "fresh": {"recency_days": 15, "tenure_days": 20, "orders_ever": 1, "basket_mean": 40},
    "gone": {"recency_days": 400, "tenure_days": 600, "orders_ever": 2, "basket_mean": 30},
    "grand": {"recency_days": 120, "tenure_days": 300, "orders_ever": 4, "basket_mean": 400},
}
PLACES = {kind: 6.0 * np.eye(5)[place] for place, kind in enumerate(KINDS)}


def kinds_of(sizes):
    """The kind of each customer, those of a kind one after the other."""
    return np.repeat(list(sizes), list(sizes.values()))


def points_of(kinds, seed=0, spread=0.5):
    """Embeddings: another seed turns the whole space and places everybody a little otherwise."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    places = np.array([PLACES[kind] for kind in kinds])
    return (places + spread * rng.standard_normal(places.shape)) @ turn


def facts_of(kinds, seed=0):
    """Features near those of each kind, the same for the same customers whatever the model."""
    rng = np.random.default_rng((seed, 7))
    features = {
        name: np.array([KINDS[kind][name] for kind in kinds], float)
        * rng.uniform(0.8, 1.2, len(kinds))
        for name in KINDS["loyal"]
    }
    features["orders_ever"] = np.maximum(1.0, features["orders_ever"].round())
    features["gross_365d"] = features["orders_ever"] * features["basket_mean"]
    active = 1.0 / (1.0 + features["recency_days"] / 60.0)
    return Facts(features, active, active * features["basket_mean"] * 2.0)
