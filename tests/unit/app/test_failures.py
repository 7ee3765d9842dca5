"""A command that failed says what is wrong, how to mend it, and exits by a documented code."""

import pytest

from app.failures import MEANINGS, ExitCode, exit_code_of, two_lines
from shared.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidArgumentError("x", reason="WRONG_COLUMNS"), ExitCode.USAGE),
        (NotFoundError("x", reason="FILE_NOT_FOUND"), ExitCode.USAGE),
        (NotFoundError("x", reason="MODEL_VERSION_NOT_FOUND"), ExitCode.PRECONDITION),
        (FailedPreconditionError("x", reason="TOO_LITTLE_DATA"), ExitCode.PRECONDITION),
        (AlreadyExistsError("x", reason="WORKSPACE_EXISTS"), ExitCode.PRECONDITION),
        (UnavailableError("x", reason="UNAVAILABLE"), ExitCode.PRECONDITION),
    ],
)
def test_the_exit_code_says_whether_the_request_or_the_state_is_wrong(error, code):
    assert exit_code_of(error) is code


def test_a_message_is_split_into_what_is_wrong_and_how_to_mend_it():
    error = InvalidArgumentError("a; b; choose\n another", reason="X")
    assert two_lines(error) == ("a; b", "choose another")


def test_a_message_without_advice_gets_some():
    what, mend = two_lines(FailedPreconditionError("too little data", reason="X"))
    assert what == "too little data"
    assert "oriel doctor" in mend


def test_every_exit_code_has_a_meaning():
    assert set(MEANINGS) == set(ExitCode)


def test_marks_inside_brackets_and_examples_part_nothing():
    error = InvalidArgumentError(
        "w.csv has no column for user (one of: a; nearest: 'b'). Its columns are: b. "
        "Say which is which in a mapping file, e.g. `kind: orders; x. y`, and pass it.",
        reason="X",
    )
    what, mend = two_lines(error)
    assert what.endswith("Its columns are: b")
    assert mend.startswith("Say which is which")
