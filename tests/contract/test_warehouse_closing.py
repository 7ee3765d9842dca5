"""How every form of the warehouse port ends."""

import threading
import time

import pytest

from shared.errors import CancelledError, UnavailableError
from shared.warehouse import connect, open_embedded
from tests.support.native_front_process import running_front

ENDLESS = "SELECT sum(number) AS n FROM numbers(1000000000000)"


@pytest.fixture(params=["embedded", "server"])
def warehouse(request, tmp_path):
    if request.param == "embedded":
        with open_embedded(tmp_path / "data") as opened:
            yield opened
        return
    with (
        running_front(tmp_path / "data") as address,
        connect(address.host, address.port, address.user, address.password) as opened,
    ):
        yield opened


def test_closing_stops_what_runs_and_refuses_what_comes(warehouse):
    outcomes = []

    def ask():
        try:
            outcomes.append(warehouse.query(ENDLESS))
        except (CancelledError, UnavailableError) as error:
            outcomes.append(error.reason)

    asking = threading.Thread(target=ask)
    asking.start()
    idle_stream = warehouse.stream("SELECT number FROM numbers(100000000)", max_rows=10)
    next(idle_stream)
    start = time.monotonic()
    warehouse.close(grace_seconds=0.2)
    asking.join()
    assert time.monotonic() - start < 20
    assert outcomes in (["WAREHOUSE_CANCELLED"], ["WAREHOUSE_UNAVAILABLE"], ["WAREHOUSE_CLOSED"])
    with pytest.raises(UnavailableError, match="closed"):
        list(idle_stream)
    with pytest.raises(UnavailableError, match="closed"):
        warehouse.query("SELECT 1")
    warehouse.close()


def test_closing_lets_a_short_statement_end(warehouse):
    answers = []
    has_begun = threading.Event()

    def ask():
        for batch in warehouse.stream("SELECT number FROM numbers(1000000)", max_rows=100_000):
            has_begun.set()
            answers.append(batch.num_rows)

    asking = threading.Thread(target=ask)
    asking.start()
    has_begun.wait()
    warehouse.close(grace_seconds=60.0)
    asking.join()
    assert sum(answers) == 1_000_000
