"""One process holds a workspace, and others learn where it serves."""

import json
import os

import pytest

from app import lock
from shared.errors import FailedPreconditionError


def test_nobody_holds_a_folder_that_was_never_used(tmp_path):
    assert lock.holder_of(tmp_path / "oriel.lock") is None


def test_the_holder_says_who_it_is_and_where_it_serves(tmp_path):
    path = tmp_path / "home" / "oriel.lock"
    held = lock.acquire(path, "oriel up")
    assert lock.holder_of(path) == lock.Holder(os.getpid(), "oriel up", "")
    held.publish("127.0.0.1:4000")
    assert lock.holder_of(path).address == "127.0.0.1:4000"
    assert lock.wait_for_address(path) == "127.0.0.1:4000"
    held.release()
    assert lock.holder_of(path) is None
    assert lock.wait_for_address(path) == ""


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path):
    path = tmp_path / "oriel.lock"
    first = lock.acquire(path, "oriel up")
    assert lock.acquire(path, "oriel run") is None
    first.release()
    second = lock.acquire(path, "oriel run")
    assert lock.holder_of(path).command == "oriel run"
    second.release()


def test_a_shorter_text_leaves_nothing_of_the_longer_one(tmp_path):
    path = tmp_path / "oriel.lock"
    held = lock.acquire(path, "oriel with a long command")
    held.publish("127.0.0.1:4000")
    held.release()
    again = lock.acquire(path, "x")
    assert json.loads(path.read_text())["command"] == "x"
    again.release()


def test_a_holder_that_never_serves_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_STARTING_SECONDS", 0.0)
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.0)
    path = tmp_path / "oriel.lock"
    held = lock.acquire(path, "oriel up")
    with pytest.raises(FailedPreconditionError, match=str(os.getpid())) as caught:
        lock.wait_for_address(path)
    assert caught.value.reason == "HOME_LOCKED"
    held.release()
