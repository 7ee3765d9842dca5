"""The whole of Oriel as its users run it, with programs compiled as theirs are."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _compiled_as_users_have_it():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XLA_FLAGS")
        yield
