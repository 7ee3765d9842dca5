"""The next task goes to who will be done with it first."""

from services.training.engine.ps.paces import LEASES, Paces


def dealt(paces, workers, count):
    loads = dict.fromkeys(workers, 0)
    for _ in range(count):
        worker = paces.next_of(loads)
        if worker is None:
            break
        loads[worker] += 1
    return loads


def paces_of(**seconds):
    paces = Paces()
    for worker, each in seconds.items():
        paces.heard(worker, each)
    return paces


def test_workers_of_one_pace_get_the_same():
    assert dealt(Paces(), "abc", 3) == dict.fromkeys("abc", 1)
    assert dealt(paces_of(a=2.0, b=2.0, c=2.0), "abc", 100) == dict.fromkeys("abc", LEASES)


def test_a_slow_worker_gets_only_what_the_others_have_no_room_for():
    paces = paces_of(a=3.0, b=1.0, c=1.0)
    assert dealt(paces, "abc", 4) == {"a": 0, "b": 2, "c": 2}
    assert dealt(paces, "abc", 100) == {"a": 1, "b": 2, "c": 2}


def test_a_worker_of_which_nothing_was_heard_counts_as_fast():
    assert dealt(paces_of(a=3.0, b=1.0), "abc", 2) == {"a": 0, "b": 1, "c": 1}


def test_a_worker_that_has_become_fast_again_is_believed():
    paces = paces_of(a=9.0, b=1.0)
    for _ in range(30):
        paces.heard("a", 1.0)
    assert dealt(paces, "ab", 100) == {"a": LEASES, "b": LEASES}


def test_what_others_wait_for_goes_also_to_who_has_enough_to_do():
    loads = {"a": LEASES, "b": LEASES}
    paces = paces_of(a=1.0, b=2.0)
    assert paces.next_of(loads) is None
    assert paces.next_of(loads, is_urgent=True) == "a"


def test_who_is_gone_is_not_the_measure_of_others():
    paces = paces_of(a=0.01, b=1.0)
    paces.forget("a")
    assert dealt(paces, "bc", 100) == {"b": LEASES, "c": LEASES}
