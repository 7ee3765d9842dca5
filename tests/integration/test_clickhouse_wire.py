"""The server form of the warehouse against a real ClickHouse server, on the wire."""

import threading
from datetime import date

import pyarrow as pa
import pytest

from shared.errors import (
    CancelledError,
    FailedPreconditionError,
    UnauthenticatedError,
    UnavailableError,
)
from shared.warehouse import WarehouseQueryError, connect
from tests.support.clickhouse_server import (
    USER,
    ClickHouseServer,
    ServerUnobtainableError,
    unpacked,
)

pytestmark = pytest.mark.server

EVERY_VERSION = (18, 0)
PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    try:
        root = unpacked()
    except ServerUnobtainableError as error:
        pytest.skip(f"Debian's clickhouse-server cannot be had here: {error}")
    running = ClickHouseServer(root, tmp_path_factory.mktemp("clickhouse"), PASSWORD)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def warehouse(server):
    with open_warehouse(server) as opened:
        yield opened


def open_warehouse(server, **options):
    chosen = {"password": server.password, "minimum_version": EVERY_VERSION, **options}
    return connect(server.host, server.port, USER, **chosen)


def fresh_table(warehouse, name, columns, order_by="tuple()"):
    warehouse.execute(f"DROP TABLE IF EXISTS {name}")
    warehouse.execute(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY {order_by}")
    return name


ROWS = pa.table(
    {
        "d": pa.array([date(2011, 9, 10), date(1997, 1, 1), date(1970, 1, 2)]),
        "n": pa.array([2**64 - 1, 0, 7], pa.uint64()),
        "i": pa.array([-(2**63), 0, 2**63 - 1], pa.int64()),
        "f": [0.1, float("inf"), -2.5],
        "s": ["it's", "back\\slash\n\t", "Ünïcødé 漢字 😀"],
        "o": pa.array([None, "", "x"]),
        "l": pa.array([["a", "'"], [], ["b"]]),
        "q": pa.array([[1.5], [], [float("-inf"), 0.0]]),
    }
)
COLUMNS = (
    "n UInt64, i Int64, f Float64, s String, o Nullable(String), d Date, "
    "l Array(String), q Array(Float64)"
)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_rows_of_the_types_that_both_know_come_back_as_they_were(server, is_compressed):
    with open_warehouse(server, is_compressed=is_compressed) as warehouse:
        name = fresh_table(warehouse, "wire_types", COLUMNS, "n")
        assert warehouse.insert(name, ROWS) == 3
        answer = warehouse.query(f"SELECT d, n, i, f, s, o, l, q FROM {name} ORDER BY n DESC")
        assert answer.to_pylist() == ROWS.sort_by([("n", "descending")]).to_pylist()
        empty = warehouse.query(f"SELECT d, n, i, f, s, o, l, q FROM {name} WHERE n = 1")
        assert empty.num_rows == 0
        assert empty.schema == answer.schema


def test_many_rows_stream_in_batches(warehouse):
    count = 200_000
    name = fresh_table(warehouse, "wire_many", "n UInt64, s String", "n")
    rows = pa.table({"n": pa.array(range(count), pa.uint64()), "s": [str(i) for i in range(count)]})
    assert warehouse.insert(name, rows) == count
    batches = list(warehouse.stream(f"SELECT n, s FROM {name}", max_rows=50_000))
    assert [batch.num_rows for batch in batches] == [50_000] * 4
    assert pa.Table.from_batches(batches).sort_by("n").cast(rows.schema).equals(rows)


def test_threads_get_their_own_answers(warehouse):
    wrong = []

    def ask(thread):
        for turn in range(40):
            number = thread * 1000 + turn
            answer = warehouse.query(f"SELECT toUInt64({number}) AS n").to_pylist()
            if answer != [{"n": number}]:
                wrong.append((number, answer))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_warehouse_comes_back_after_the_server_was_killed(server):
    with open_warehouse(server) as warehouse:
        name = fresh_table(warehouse, "wire_restart", "n UInt64", "n")
        warehouse.insert(name, pa.table({"n": [1, 2]}))
        server.kill()
        for _ in range(2):
            with pytest.raises(UnavailableError) as caught:
                warehouse.query(f"SELECT count() AS n FROM {name}")
            assert caught.value.reason == "WAREHOUSE_UNAVAILABLE"
            assert caught.value.metadata["port"] == str(server.port)
        server.start()
        assert warehouse.query(f"SELECT sum(n) AS n FROM {name}").to_pylist() == [{"n": 3}]
        assert warehouse.insert(name, pa.table({"n": [4]})) == 1


def test_a_server_killed_under_a_statement_is_unavailable(server):
    with open_warehouse(server) as warehouse:
        stream = warehouse.stream("SELECT number FROM system.numbers", max_rows=100_000)
        next(stream)
        server.kill()
        with pytest.raises(UnavailableError):
            list(stream)
        server.start()
        assert warehouse.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_a_server_that_restarted_while_nobody_asked_is_not_noticed(server):
    with open_warehouse(server) as warehouse:
        assert warehouse.query("SELECT 1 AS one").num_rows == 1
        server.kill()
        server.start()
        assert warehouse.query("SELECT 2 AS two").to_pylist() == [{"two": 2}]


def test_a_wrong_password_is_unauthenticated(server):
    with pytest.raises(UnauthenticatedError, match="password") as caught:
        open_warehouse(server, password="wrong")
    assert caught.value.reason == "WAREHOUSE_CREDENTIALS"


def test_nobody_there_is_unavailable(server):
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 "):
        connect("127.0.0.1", 1, USER, server.password)


def test_a_server_that_is_too_old_is_refused_with_both_versions(server):
    with pytest.raises(FailedPreconditionError, match=r"18\.16; Oriel needs 24\.3") as caught:
        connect(server.host, server.port, USER, server.password)
    assert caught.value.reason == "SERVER_TOO_OLD"


def test_a_wrong_statement_is_told_with_the_servers_number(warehouse):
    with pytest.raises(WarehouseQueryError) as caught:
        warehouse.query("SELECT no_such_column")
    assert caught.value.code == 47
    assert warehouse.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_closing_stops_a_statement_that_would_not_end(server):
    warehouse = open_warehouse(server)
    outcomes = []

    def ask():
        try:
            warehouse.query("SELECT sum(number) AS n FROM system.numbers")
        except (CancelledError, UnavailableError) as error:
            outcomes.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    with open_warehouse(server) as watching:
        while not watching.query(
            "SELECT query FROM system.processes WHERE query LIKE '%sum(number)%' "
            "AND query NOT LIKE '%processes%'"
        ).num_rows:
            pass
        warehouse.close(grace_seconds=0.1)
        asking.join(20)
    assert len(outcomes) == 1
