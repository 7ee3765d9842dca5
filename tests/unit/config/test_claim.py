"""One process at a time is a service of a workspace."""

import os

import pytest

from shared.config.claim import ServiceClaim
from shared.config.home import Home
from shared.errors import FailedPreconditionError


def test_a_second_claim_is_told_who_has_the_first(tmp_path):
    home = Home(tmp_path)
    with ServiceClaim(home, "feature"):
        with pytest.raises(FailedPreconditionError, match="feature service") as caught:
            ServiceClaim(home, "feature")
        assert caught.value.reason == "SERVICE_CLAIMED"
        assert caught.value.metadata["holder"] == f"process {os.getpid()}"


def test_other_services_and_other_workspaces_are_free(tmp_path):
    with (
        ServiceClaim(Home(tmp_path), "feature"),
        ServiceClaim(Home(tmp_path), "training"),
        ServiceClaim(Home(tmp_path / "other"), "feature"),
    ):
        pass


def test_a_claim_that_was_let_go_of_can_be_taken(tmp_path):
    for _ in range(2):
        with ServiceClaim(Home(tmp_path), "feature"):
            pass
