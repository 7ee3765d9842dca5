"""Fits are kept in the registry and found again."""

from dataclasses import replace

import pytest

from pipelines.segments.kept import KeptSegments, Retired, Segment, Segmentation
from shared.registry import ModelRegistry

FIT = Segmentation(
    model_version="models/shop/versions/1",
    dataset_hash="a",
    segments=(
        Segment(1, "Frequent big baskets", (0.1, -2.5), (0.25, 0.75)),
        Segment(3, "Lapsed buyers", (1 / 3, 0.0), (0.5, 0.5)),
    ),
    retired=(Retired(2, "New buyers"),),
    appeared=("Lapsed buyers",),
    gone=("New buyers",),
)


@pytest.fixture
def kept(tmp_path):
    return KeptSegments(ModelRegistry(tmp_path), "models/shop")


def test_nothing_is_found_before_the_first_fit(kept):
    assert kept.last() is None
    assert kept.find(FIT.model_version, FIT.dataset_hash) is None


def test_a_fit_comes_back_to_the_last_digit(kept):
    kept.add(FIT)
    assert kept.last() == FIT
    assert kept.find(FIT.model_version, FIT.dataset_hash) == FIT
    assert kept.find(FIT.model_version, "b") is None


def test_the_last_fit_is_the_newest_and_earlier_ones_are_still_found(kept):
    second = replace(FIT, model_version="models/shop/versions/2", dataset_hash="b")
    kept.add(FIT)
    kept.add(second)
    kept.add(FIT)
    assert kept.last() == second
    assert kept.find(FIT.model_version, FIT.dataset_hash) == FIT
