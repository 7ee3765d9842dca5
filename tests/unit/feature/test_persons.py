"""Who is one person at which instant: by hand, and against a plain search over random edges."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.feature.adapters.history import EventHistory
from services.feature.domain.persons import (
    Edges,
    FirstSeen,
    feature_members,
    label_members,
    persons_at,
)
from shared.features import FEATURES
from shared.features.calendar import Instant, day_start
from shared.features.reference import feature_value, spend_micros
from tests.support.histories import reference_events
from tests.support.shops import ZONE, build, moment, random_shop


def edges(*triples) -> Edges:
    columns = np.array(triples, np.int64).reshape(-1, 3)
    return Edges(columns[:, 0].astype(np.uint64), columns[:, 1].astype(np.uint64), columns[:, 2])


def seen(**first) -> FirstSeen:
    keys = np.array([int(name[1:]) for name in first], np.uint64)
    return FirstSeen(keys, np.array(list(first.values()), np.int64))


def listed(members) -> list[tuple[int, int, int, int]]:
    columns = (members.keys, members.persons, members.first_index, members.last_index)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_visitor_becomes_the_user_from_the_edge_on():
    keys, persons = persons_at(edges((101, 1, 5)), seen(u1=0), 6)
    assert dict(zip(keys.tolist(), persons.tolist(), strict=True)) == {1: 1, 101: 1}
    keys, _ = persons_at(edges((101, 1, 5)), seen(u1=0), 5)
    assert keys.tolist() == []


def test_a_person_goes_by_the_user_key_identified_first():
    _, persons = persons_at(edges((2, 1, 5), (101, 1, 6)), seen(u1=3, u2=1), 10)
    assert set(persons.tolist()) == {2}


def test_keys_joined_to_nobody_identified_are_left_out():
    keys, _ = persons_at(edges((101, 1, 5)), seen(u1=30), 10)
    assert keys.tolist() == []


def test_before_the_edge_a_user_is_a_person_alone_and_a_visitor_nobody():
    members = feature_members(edges((101, 1, 15)), seen(u1=0), [10, 20, 30])
    assert listed(members) == [(1, 1, 0, 0), (1, 1, 1, 2), (101, 1, 1, 2)]


def test_edges_between_nobody_give_no_members():
    assert listed(feature_members(edges((101, 1, 5)), seen(), [10])) == []
    assert listed(label_members(edges((101, 1, 5)), seen(), [10], [20])) == []


def test_two_customers_who_turn_out_to_be_one_both_have_the_whole_label():
    members = label_members(edges((2, 1, 15)), seen(u1=0, u2=1), [10], [20])
    assert listed(members) == [(1, 1, 0, 0), (1, 2, 0, 0), (2, 1, 0, 0), (2, 2, 0, 0)]


def test_a_visitor_identified_within_the_horizon_counts_for_the_label():
    members = label_members(edges((101, 1, 15)), seen(u1=0), [10], [20])
    assert listed(members) == [(1, 1, 0, 0), (101, 1, 0, 0)]
    assert listed(feature_members(edges((101, 1, 15)), seen(u1=0), [10])) == [(1, 1, 0, 0)]


def component(key, pairs) -> set[int]:
    """Search plainly for everything joined to a key."""
    found, fresh = {key}, [key]
    while fresh:
        here = fresh.pop()
        for one, other in pairs:
            for near in ({one, other} - {here}) if here in (one, other) else ():
                if near not in found:
                    found.add(near)
                    fresh.append(near)
    return found


class PlainPersons:
    """Persons of a shop by plain search."""

    def __init__(self, shop) -> None:
        self._shop = shop
        self._first: dict[int, int] = {}
        for row in shop.rows:
            if row.user_key:
                first = self._first.get(row.user_key, row.time_ms)
                self._first[row.user_key] = min(first, row.time_ms)

    def at(self, before_ms: int) -> dict[int, set[int]]:
        """Return the keys of each person known before an instant."""
        pairs = [(e.from_key, e.to_key) for e in self._shop.edges if e.time_ms < before_ms]
        users = [key for key, first in self._first.items() if first < before_ms]
        groups = {frozenset(component(key, pairs)) for key in users}
        return {
            min((self._first[key], key) for key in group & set(users))[1]: set(group)
            for group in groups
        }


@pytest.mark.parametrize("seed", [4, 5])
def test_features_and_labels_of_merged_persons_equal_the_reference(warehouse, tmp_path, seed):
    shop = random_shop(seed, count=1_500)
    shop.store(warehouse)
    reader = build(EventHistory(warehouse, ZONE), tmp_path / "a", "training")
    rows, manifest = reader.arrays(), reader.manifest
    assert rows.spend_micros is not None
    plain = PlainPersons(shop)
    by_key = {}
    for row in shop.rows:
        by_key.setdefault(row.user_key or row.anonymous_key, []).append(row)

    zone = ZoneInfo(ZONE)
    expected_rows, features, labels = [], [], []
    for as_of in manifest.as_ofs:
        instant = Instant(next(d for d in range(15_000, 15_261) if moment(d) == as_of), as_of)
        end_ms = round(day_start(instant.day + 10, zone).timestamp() * 1000)
        later = plain.at(end_ms)
        for person, keys in plain.at(instant.time_ms).items():
            whole = next(group for group in later.values() if person in group)
            expected_rows.append((person, as_of))
            features.append(history(by_key, keys, zone, instant, manifest.feature_names))
            labels.append(spend_micros(joined(by_key, whole, zone), instant, 10))
    order = sorted(range(len(expected_rows)), key=expected_rows.__getitem__)
    assert rows.user_keys.tolist() == [expected_rows[place][0] for place in order]
    assert rows.spend_micros.tolist() == [labels[place] for place in order]
    np.testing.assert_allclose(
        rows.features, [features[place] for place in order], rtol=1e-6, atol=1e-9
    )


def joined(by_key, keys, zone):
    rows = [row for key in sorted(keys) for row in by_key.get(key, [])]
    return [event for events in reference_events(rows, zone).values() for event in events]


def history(by_key, keys, zone, instant, names):
    events = joined(by_key, keys, zone)
    return [feature_value(FEATURES[name].expression, events, instant) for name in names]
