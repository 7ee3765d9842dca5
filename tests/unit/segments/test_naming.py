"""Names say what sets a group apart, and no two groups share one."""

import pytest

from pipelines.segments.naming import AXES, named


def standing(**places):
    return dict.fromkeys(AXES, 0.5) | places


@pytest.mark.parametrize(
    ("places", "orders", "name"),
    [
        ({"orders_ever": 0.9, "basket_mean": 0.8}, 12, "Frequent big baskets"),
        ({"recency_days": 0.9, "orders_ever": 0.2}, 1, "Lapsed one-time buyers"),
        ({"recency_days": 0.9, "orders_ever": 0.2}, 2, "Lapsed rare buyers"),
        ({"tenure_days": 0.1, "basket_mean": 0.3}, 1, "New small baskets"),
        ({"basket_mean": 0.9}, 3, "Big baskets"),
        ({"orders_ever": 0.55}, 3, "Ordinary buyers"),
    ],
)
def test_the_two_strongest_traits_make_the_name(places, orders, name):
    assert named(standing(**places), orders, ()) == name


def test_a_name_that_is_taken_says_more():
    places = standing(orders_ever=0.9, basket_mean=0.85, recency_days=0.2)
    first = named(places, 9, ())
    second = named(places, 9, {first})
    assert (first, second) == ("Frequent big baskets", "Recent frequent big baskets")


def test_names_stay_unique_however_many_groups_are_alike():
    for places in (standing(), standing(orders_ever=0.9, recency_days=0.1, tenure_days=0.8)):
        names = []
        for _ in range(20):
            names.append(named(places, 9, names))
        assert len(set(names)) == 20
