"""Datasets of candidate products: instants, least data, persons, and what they leave."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from services.feature.domain.persons import Edges, FirstSeen
from services.feature.usecases.build_product import ProductDatasetBuilder, ProductOrder
from shared.config.prediction import shipped_text
from shared.config.product import parse_product_prediction
from shared.dataset.products import ProductDatasetReader
from shared.errors import FailedPreconditionError
from tests.support.product_shop import order_lines

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AS_OF = EPOCH + timedelta(days=14_300)
QUESTION = replace(
    parse_product_prediction(shipped_text("next_product")), horizon=timedelta(days=60)
)
NO_EDGES = Edges(*(np.zeros(0, kind) for kind in (np.uint64, np.uint64, np.int64)))
NOT_SEEN = FirstSeen(np.zeros(0, np.uint64), np.zeros(0, np.int64))
MS_A_DAY = 86_400_000


class Shop:
    """Lines in memory, as a warehouse would give them."""

    def __init__(self, lines, edges=NO_EDGES, seen=NOT_SEEN):
        self._lines, self._edges, self._seen = lines, edges, seen

    def lines(self, end, known_at):
        """Lines before the end; all were known at once."""
        del known_at
        lines = self._lines.rows(self._lines.days < (end - EPOCH).days)
        return lines, np.ones(len(lines), np.bool_)

    def users(self, end, known_at):
        """All who ordered, and one who only looked."""
        lines, _ = self.lines(end, known_at)
        return np.unique(np.append(lines.keys, np.uint64(77_777)))

    def edges(self, end, known_at):
        """Who is who."""
        del end, known_at
        return self._edges, self._seen


class Work:
    """A job that nobody watches."""

    def progress(self, completed, total, unit, message=""):
        """Say nothing."""

    def raise_if_cancelled(self):
        """Go on."""


def build(shop, folder, purpose="training", as_of=AS_OF):
    order = ProductOrder("datasets/shop", purpose, QUESTION, as_of, as_of)
    ProductDatasetBuilder(shop, shop, "UTC").build(order, folder, Work())
    return ProductDatasetReader(folder)


@pytest.fixture(scope="module")
def lines():
    """A shop's lines."""
    return order_lines()


def test_label_windows_end_by_the_instant_of_the_order(lines, tmp_path):
    dataset = build(Shop(lines), tmp_path / "dataset").manifest
    assert dataset.as_ofs[-1] == AS_OF - timedelta(days=60)
    assert set(np.diff(dataset.as_ofs)) == {timedelta(days=30)}


def test_what_happens_after_the_instant_leaves_the_datasets_as_they_are(lines, tmp_path):
    known = lines.rows(lines.days < 14_300)
    for purpose in ("training", "scoring"):
        whole = build(Shop(lines), tmp_path / "whole", purpose).manifest
        cut = build(Shop(known), tmp_path / "cut", purpose).manifest
        assert whole.content_hash == cut.content_hash


def test_everybody_known_is_scored_also_who_never_ordered(lines, tmp_path):
    rows = build(Shop(lines), tmp_path / "scoring", "scoring").rows()
    assert 77_777 in rows.user_keys
    assert len(rows) == len(np.unique(lines.keys[lines.days < 14_300])) + 1
    assert not rows.is_ordered.any()


def test_keys_of_one_person_make_one_row_from_the_instant_they_are_known_to_be(lines, tmp_path):
    day = 14_230
    edges = Edges(
        np.array([1], np.uint64), np.array([2], np.uint64), np.array([day * MS_A_DAY], np.int64)
    )
    seen = FirstSeen(np.array([1, 2], np.uint64), np.array([0, 1], np.int64))
    rows = build(Shop(lines, edges, seen), tmp_path / "persons").rows()
    before, after = rows.rows(rows.as_ofs < day * MS_A_DAY), rows.rows(rows.as_ofs > day * MS_A_DAY)
    assert 2 in before.user_keys
    assert 1 in after.user_keys
    assert 2 not in after.user_keys


def test_events_without_products_are_refused_in_plain_words(lines, tmp_path):
    with pytest.raises(FailedPreconditionError, match=r"no order .* names its products"):
        build(Shop(lines.rows(slice(0, 0))), tmp_path / "none")


def test_too_short_a_history_is_refused_with_each_rule(lines, tmp_path):
    with pytest.raises(FailedPreconditionError, match="instants_before_the_judged is 0") as caught:
        build(Shop(lines), tmp_path / "short", as_of=EPOCH + timedelta(days=14_110))
    assert caught.value.reason == "TOO_LITTLE_DATA"
    assert not (tmp_path / "short").exists()


def test_an_explanation_counts_the_rows_of_each_fold(lines, tmp_path):
    order = ProductOrder("", "training", QUESTION, AS_OF, AS_OF)
    said = ProductDatasetBuilder(Shop(lines), Shop(lines), "UTC").explain(order)
    rows = build(Shop(lines), tmp_path / "dataset").rows()
    assert said.row_count == len(rows)
    assert said.folds["evaluation"][1] == (rows.as_ofs == rows.as_ofs.max()).sum()
    assert all(rule.is_met for rule in said.rules)
