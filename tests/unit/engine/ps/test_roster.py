"""Every owner has a first server and, where there are enough, a second one elsewhere."""

import pytest

from services.training.engine.ps.roster import PartLostError, Roster


def roster(servers, owners=4, has_seconds=True):
    made = Roster(range(owners), has_seconds, list(servers))
    made.assign()
    return made


def prepare(made):
    for owner, server in made.new_seconds().items():
        made.prepared(owner, server)


def test_owners_are_divided_and_seconds_are_other_servers_with_equal_shares():
    made = roster("abc", owners=6)
    prepare(made)
    assert made.firsts == {0: "a", 1: "b", 2: "c", 3: "a", 4: "b", 5: "c"}
    assert all(made.seconds[owner] != made.firsts[owner] for owner in range(6))
    assert sorted(made.seconds.values()) == list("aabbcc")
    assert made.new_seconds() == {}


def test_the_second_takes_over_and_another_becomes_second_when_it_has():
    made = roster("abc", owners=3)
    prepare(made)
    heir = made.seconds[0]
    assert made.lose("a") == [0]
    assert made.firsts[0] == heir
    assert made.new_seconds() == {}, "not while something is taken over"
    made.taken(0)
    prepare(made)
    assert set(made.seconds) == {0, 1, 2}
    assert all(made.seconds[owner] != made.firsts[owner] for owner in range(3))
    assert "a" not in [*made.firsts.values(), *made.seconds.values()]


def test_a_part_whose_second_server_was_not_complete_is_lost():
    made = roster("ab", owners=2)
    made.new_seconds()
    with pytest.raises(PartLostError):
        made.lose("a")


def test_a_part_without_a_second_server_is_lost():
    made = roster("ab", owners=2, has_seconds=False)
    assert made.new_seconds() == {}
    with pytest.raises(PartLostError):
        made.lose("b")


def test_losing_a_server_that_stands_for_nothing_changes_nothing():
    made = roster("ab", owners=1)
    assert made.lose("b") == []
    assert made.firsts == {0: "a"}


def test_a_second_that_was_replaced_does_not_count_when_it_is_ready_at_last():
    made = roster("abc", owners=1)
    assert made.new_seconds() == {0: "b"}
    made.lose("b")
    made.prepared(0, "b")
    assert made.seconds == {}
    assert made.new_seconds() == {0: "c"}


def test_a_lone_server_has_no_second_until_another_comes():
    made = roster("a", owners=2)
    assert made.new_seconds() == {}
    made.servers.append("b")
    assert made.new_seconds() == {0: "b", 1: "b"}
