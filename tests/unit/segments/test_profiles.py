"""Profiles are plain sums and means of their customers, and say in what these differ."""

import math

import numpy as np
import pytest

from pipelines.segments.profiles import Facts, profiles_of, standing
from tests.unit.segments.groups import facts_of, kinds_of

SIZES = {"loyal": 40, "fresh": 60, "gone": 25}


def say(name, value):
    return f"{name}={value:.4g}"


@pytest.fixture(scope="module")
def shop():
    kinds = kinds_of(SIZES)
    labels = np.array([list(SIZES).index(kind) for kind in kinds])
    facts = facts_of(kinds)
    facts.features["basket_mean"][3] = np.nan
    return facts, labels, profiles_of(facts, labels, len(SIZES), say)


def test_figures_are_those_of_a_plain_count(shop):
    facts, labels, profiles = shop
    spend, value = facts.features["gross_365d"].tolist(), facts.value.tolist()
    for group, profile in enumerate(profiles):
        places = [place for place, label in enumerate(labels.tolist()) if label == group]

        def of(name, places=places):
            held = [facts.features[name][place] for place in places]
            return [each for each in held if not math.isnan(each)]

        assert profile.customers == len(places)
        assert profile.customer_share == pytest.approx(len(places) / len(labels))
        assert profile.spend == pytest.approx(sum(of("gross_365d")) / len(places))
        assert profile.spend_share == pytest.approx(sum(of("gross_365d")) / sum(spend))
        assert profile.orders == pytest.approx(sum(of("orders_ever")) / len(places))
        assert profile.basket == pytest.approx(sum(of("basket_mean")) / len(of("basket_mean")))
        recency = sorted(of("recency_days"))
        middle = (recency[(len(recency) - 1) // 2] + recency[len(recency) // 2]) / 2
        assert profile.recency_days == pytest.approx(middle)
        assert profile.active == pytest.approx(sum(facts.active[places]) / len(places))
        assert profile.value == pytest.approx(sum(facts.value[places]) / len(places))
        assert profile.value_share == pytest.approx(sum(facts.value[places]) / sum(value))
    assert sum(profile.customers for profile in profiles) == len(labels)
    assert sum(profile.spend_share for profile in profiles) == pytest.approx(1)


def test_traits_say_the_median_and_the_side_strongest_first(shop):
    facts, labels, profiles = shop
    for group, profile in enumerate(profiles):
        assert 1 <= len(profile.traits) <= 3
        for trait in profile.traits:
            name, _, value = trait.text.partition("=")
            column = facts.features[name]
            inside, median = column[labels == group], np.nanmedian(column[labels == group])
            assert float(value) == pytest.approx(median, rel=1e-3)
            place = np.nanmean([standing(column)[at] for at in np.flatnonzero(labels == group)])
            assert trait.is_more == (place > 0.5)
            assert len(inside)
    assert profiles[2].traits[0].text.startswith("recency_days")


def test_one_fact_is_told_once():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    level = labels + rng.uniform(0, 0.5, 200)
    features = {
        "gross_365d": level,
        "gross_ever": 3 * level,
        "orders_ever": rng.uniform(1, 2, 200),
        "basket_mean": rng.uniform(1, 2, 200),
        "recency_days": rng.uniform(1, 2, 200),
    }
    facts = Facts(features, np.full(200, 0.5), np.ones(200))
    for profile in profiles_of(facts, labels, 2, say):
        assert [trait.text.split("=")[0] for trait in profile.traits] == ["gross_365d"]


def test_equal_values_share_a_place_and_missing_ones_lie_in_the_middle():
    assert standing(np.array([5.0, 9.0, np.nan, 5.0])).tolist() == pytest.approx(
        [1 / 3, 5 / 6, 0.5, 1 / 3]
    )
    assert standing(np.full(3, np.nan)).tolist() == [0.5] * 3
