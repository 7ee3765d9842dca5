"""Ids and names outlive refits: they are matched, not numbered anew."""

from dataclasses import replace

import numpy as np

from pipelines.segments.clusters import nearest
from pipelines.segments.fitting import fitted
from tests.unit.segments.groups import facts_of, kinds_of, points_of

SIZES = {"loyal": 60, "fresh": 90, "gone": 120, "grand": 70}


def fit(kinds, seed=0, last=None, before=None, version="models/m/versions/1"):
    return fitted(
        points_of(kinds, seed),
        facts_of(kinds),
        model_version=version,
        dataset_hash="d",
        last=last,
        before=before,
    )


def refit(kinds, last, seed):
    """Fit again with another model; the last one still reads the same customers."""
    before = nearest(points_of(kinds, 0), last.centres)
    return fit(kinds, seed, last, before, "models/m/versions/2")


def told(kinds, found, seed):
    """The id and the name of each kind, each of which is in one segment."""
    groups = nearest(points_of(kinds, seed), found.centres)
    by_kind = {kind: set(groups[kinds == kind].tolist()) for kind in set(kinds.tolist())}
    assert all(len(places) == 1 for places in by_kind.values())
    return {
        kind: (found.segments[place].id, found.segments[place].name)
        for kind, (place,) in by_kind.items()
    }


def test_a_first_fit_numbers_by_value_and_names_by_what_sets_apart():
    kinds = kinds_of(SIZES)
    first = told(kinds, fit(kinds), 0)
    assert sorted(number for number, _ in first.values()) == [1, 2, 3, 4]
    value = facts_of(kinds).value
    means = {number: value[kinds == kind].mean() for kind, (number, _) in first.items()}
    assert [means[number] for number in (1, 2, 3, 4)] == sorted(means.values(), reverse=True)
    assert first["loyal"][1].startswith("Recent frequent")
    assert "one-time" in first["fresh"][1].lower() or first["fresh"][1].startswith("New")
    assert "apsed" in first["gone"][1]
    assert first["grand"][1].lower().endswith("big baskets")


def test_another_seed_keeps_every_id_and_name():
    kinds = kinds_of(SIZES)
    first = fit(kinds)
    again = refit(kinds, first, 5)
    assert told(kinds, again, 5) == told(kinds, first, 0)
    assert not again.appeared
    assert not again.gone


def test_customers_added_and_taken_away_keep_every_id_and_name():
    first = fit(kinds_of(SIZES))
    kinds = kinds_of({"loyal": 80, "fresh": 40, "gone": 200, "grand": 50})
    again = refit(kinds, first, 6)
    assert told(kinds, again, 6) == told(kinds_of(SIZES), first, 0)


def test_a_group_that_vanishes_retires_its_name_and_number():
    first = fit(kinds_of(SIZES))
    names = told(kinds_of(SIZES), first, 0)
    kinds = kinds_of({"loyal": 60, "fresh": 90, "grand": 70})
    second = refit(kinds, first, 7)
    number, name = names.pop("gone")
    assert told(kinds, second, 7) == names
    assert second.gone == (name,)
    assert [(each.id, each.name) for each in second.retired] == [(number, name)]

    kinds = kinds_of(SIZES)
    third = fit(kinds, 0, second, nearest(points_of(kinds, 7), second.centres))
    back = told(kinds, third, 0)
    assert back["gone"][0] == 5
    assert back.pop("gone")[1] != name
    assert back == names
    assert third.retired == second.retired


def test_a_new_group_gets_a_new_number_and_is_told():
    kinds = kinds_of({"loyal": 60, "fresh": 90, "grand": 70})
    first = fit(kinds)
    names = told(kinds, first, 0)
    kinds = kinds_of(SIZES)
    second = refit(kinds, first, 8)
    found = told(kinds, second, 8)
    number, name = found.pop("gone")
    assert (number, second.appeared) == (4, (name,))
    assert found == names


def test_without_the_last_model_segments_are_matched_by_where_they_stand():
    kinds = kinds_of(SIZES)
    first = fit(kinds)
    again = fit(kinds, 9, first, None)
    assert told(kinds, again, 9) == told(kinds, first, 0)


def test_equal_customers_give_an_equal_fit():
    kinds = kinds_of(SIZES)
    assert fit(kinds) == fit(kinds)
    assert replace(fit(kinds), dataset_hash="e") != fit(kinds)
    assert len({each.name for each in fit(kinds).segments}) == 4
    assert np.isfinite(fit(kinds).centres).all()
