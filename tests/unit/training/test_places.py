"""Whoever is lost at a place is replaced; whoever gives up there is told of."""

import sys
import time

import psutil
import pytest

from services.training.adapters.places import MOST_STARTS, Places
from services.training.adapters.processes import NodeProcess
from shared.errors import UnavailableError

PATIENCE_SECONDS = 30.0
ECHO = (
    "import json, os, sys\n"
    "print(json.dumps({'pid': os.getpid(), 'said': sys.argv[1]}), flush=True)\n"
    "for line in sys.stdin: print(json.dumps({'told': line.strip()}), flush=True)\n"
)
TALK = (
    "import json, os, time\n"
    "while True:\n"
    "    print(json.dumps({'pid': os.getpid()}), flush=True)\n"
    "    time.sleep(0.02)\n"
)


@pytest.fixture
def places(tmp_path):
    made = []

    def make(code, silence_seconds=PATIENCE_SECONDS):
        def start(place, hear):
            command = (sys.executable, "-c", code)
            return NodeProcess([place], None, tmp_path / "log", hear, command)

        made.append(Places(start, tmp_path / "log", silence_seconds))
        return made[0]

    yield make
    made[0].close()


def first(places, wanted):
    """The first message that has such a key."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        for place, message in places.look(0.05):
            if wanted(message):
                return place, message
    raise AssertionError("nothing was heard")


def test_a_killed_node_is_replaced_and_hears_what_it_is_told(places):
    kept = places(ECHO)
    kept.open("a")
    _, message = first(kept, lambda message: "pid" in message)
    psutil.Process(message["pid"]).kill()
    place, again = first(kept, lambda other: other.get("pid") not in (None, message["pid"]))
    assert (place, again["said"]) == ("a", "a")
    kept.tell("go on")
    assert first(kept, lambda message: "told" in message) == ("a", {"told": "go on"})
    assert not kept.has_ended("a")


def test_a_node_that_stops_is_replaced_when_it_was_silent_for_too_long(places):
    kept = places(TALK, silence_seconds=1.0)
    kept.open("a")
    _, message = first(kept, lambda message: "pid" in message)
    psutil.Process(message["pid"]).suspend()
    _, again = first(kept, lambda other: other["pid"] != message["pid"])
    assert psutil.pid_exists(again["pid"])
    assert not psutil.pid_exists(message["pid"])


def test_a_node_that_gives_up_is_told_of_with_what_it_printed(places):
    kept = places("raise SystemExit('no such file')")
    kept.open("a")
    with pytest.raises(UnavailableError, match="a ended with code 1") as caught:
        first(kept, lambda _: False)
    assert "no such file" in caught.value.metadata["log"]


def test_a_node_that_is_lost_again_and_again_is_given_up(places):
    kept = places("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    kept.open("a")
    with pytest.raises(UnavailableError, match=f"a was lost {MOST_STARTS} times"):
        first(kept, lambda _: False)


def test_the_last_words_of_nodes_that_ended_are_heard(places):
    kept = places("print('{\"word\": 1}')")
    kept.open("a")
    said = []
    while not kept.has_ended("a"):
        said += kept.look(0.05)
    assert [*said, *kept.end()] == [("a", {"word": 1})]
