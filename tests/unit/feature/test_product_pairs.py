"""Candidate products: what is known of them at an instant, and that nothing later moves it."""

from dataclasses import replace

import numpy as np
import pytest

from services.feature.domain.product_lines import NOBODY, OrderLines, past_of
from services.feature.domain.product_pairs import CANDIDATES, FEATURES, Pairs, candidates
from shared.dataset.products import NONE, joined
from tests.support.product_shop import order_lines

DAY, HORIZON = 14_200.0, 60


@pytest.fixture(scope="module")
def lines():
    """A shop's lines."""
    return order_lines()


def rows_of(lines, day=DAY, users=None):
    pairs = Pairs(lines, day, HORIZON)
    return joined(list(pairs.rows(pairs.buyers() if users is None else users, 0)))


def test_rows_say_what_a_user_ordered_before_and_within_the_horizon():
    lines = OrderLines(
        keys=np.array([7, 7, 7, 9, 7, 9], np.uint64),
        orders=np.array([0, 0, 1, 2, 3, 4]),
        products=np.array([0, 1, 0, 1, 2, 1]),
        days=np.array([100.0, 100, 120, 130, 150, 151]),
        prices=np.ones(6),
        product_ids=("a", "b", "c"),
    )
    rows = joined(list(Pairs(lines, 140.0, 60).rows(np.array([7, 9], np.uint64), 5)))
    assert rows.features.shape == (2, CANDIDATES, len(FEATURES))
    assert [row[row != NONE].tolist() for row in rows.products] == [[0, 1], [0, 1]]
    assert rows.is_own[:, :2].tolist() == [[True, True], [False, True]]
    assert rows.is_ordered[:, :2].tolist() == [[False, False], [False, True]]
    assert rows.ordered.tolist() == [1, 1]
    assert rows.ordered_new.tolist() == [1, 0]
    own_orders = rows.features[:, :2, FEATURES.index("own_orders")]
    np.testing.assert_allclose(own_orders, np.log1p([[2, 1], [0, 1]]), atol=1e-4)
    recency = rows.features[0, :2, FEATURES.index("own_recency")]
    np.testing.assert_allclose(recency, np.log1p([20, 40]), atol=1e-4)


def test_candidates_are_a_users_own_and_the_best_of_each_way_that_are_new():
    fading = np.zeros((1, 300))
    fading[0, :5] = [5, 4, 3, 2, 1]
    way = np.arange(300.0)[None, :]
    places, is_filled = candidates(fading, [way])
    assert places[0, is_filled[0]].tolist() == [*range(5), *range(260, 300)]
    assert places.shape == (1, CANDIDATES)


def test_later_orders_move_no_candidate_and_no_feature(lines):
    users = np.unique(lines.keys)
    before = rows_of(lines.rows(lines.days < DAY), users=users)
    after = rows_of(lines, users=users)
    np.testing.assert_array_equal(before.products, after.products)
    np.testing.assert_array_equal(before.features, after.features)
    assert after.is_ordered.any()
    assert not before.is_ordered.any()


def test_a_product_first_ordered_later_is_no_candidate_and_moves_nothing(lines):
    later = OrderLines(
        keys=np.array([1, 2], np.uint64),
        orders=np.array([900_000, 900_001]),
        products=np.array([0, 0]),
        days=np.array([DAY, DAY + 1]),
        prices=np.ones(2),
        product_ids=("A-NEW",),
    )
    # Its id comes first, so that every product is numbered anew.
    grown = OrderLines(
        *(
            np.concatenate([getattr(lines, name), getattr(later, name)])
            for name in ("keys", "orders")
        ),
        np.concatenate([lines.products + 1, later.products]),
        *(
            np.concatenate([getattr(lines, name), getattr(later, name)])
            for name in ("days", "prices")
        ),
        ("A-NEW", *lines.product_ids),
    )
    users = np.unique(lines.keys)
    before, after = rows_of(lines, users=users), rows_of(grown, users=users)
    np.testing.assert_array_equal(
        np.where(before.products == NONE, NONE, before.products + 1), after.products
    )
    np.testing.assert_array_equal(before.features, after.features)
    assert after.ordered[0] == before.ordered[0] + 1


def test_sales_to_nobody_known_count_for_products_and_make_no_user(lines):
    keys = np.where(lines.keys == 1, NOBODY, lines.keys)
    past, whole = past_of(replace(lines, keys=keys), DAY), past_of(lines, DAY)
    assert 1 not in past.user_keys
    assert len(past.sales[0]) == len(whole.sales[0])


def test_a_user_who_never_ordered_gets_best_sellers_that_are_all_new(lines):
    rows = rows_of(lines, users=np.array([999_999], np.uint64))
    assert (rows.products != NONE).sum() >= 40
    assert not rows.is_own.any()
    assert np.isfinite(rows.features).all()


def test_the_same_lines_give_the_same_bytes(lines):
    assert rows_of(lines).features.tobytes() == rows_of(lines).features.tobytes()


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_history_of_a_few_lines_gives_finite_rows(lines, count):
    few = lines.rows(slice(0, count))
    rows = rows_of(few, day=few.days[-1] + 1, users=np.unique(few.keys))
    assert np.isfinite(rows.features).all()
    assert rows.is_own.any(axis=1).all()


def test_a_shop_that_sold_nothing_for_a_year_still_has_candidates(lines):
    rows = rows_of(lines, day=lines.days[-1] + 400, users=np.unique(lines.keys))
    assert (rows.products != NONE).any(axis=1).all()
    assert np.isfinite(rows.features).all()
