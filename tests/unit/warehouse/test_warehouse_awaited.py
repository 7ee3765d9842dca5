"""A warehouse that comes up later: nothing is asked of it before it is open and has its tables."""

import pyarrow as pa
import pytest

from shared.errors import UnauthenticatedError, UnavailableError
from shared.warehouse import AwaitedWarehouse

AWAY = UnavailableError("ClickHouse at db:9000 cannot be reached", reason="WAREHOUSE_UNAVAILABLE")


class Store:
    """Remembers what was asked of it."""

    def __init__(self):
        self.asked, self.is_closed = [], False

    def execute(self, sql, parameters):
        self.asked.append(sql)

    def insert(self, table, rows):
        return rows.num_rows

    def query(self, sql, parameters=None):
        self.asked.append(sql)
        return pa.table({"n": [1]})

    def stream(self, sql, parameters, *, max_rows):
        return iter(self.query(sql).to_batches(max_rows))

    def close(self, grace_seconds):
        self.is_closed = True


def raising(*errors):
    """A connection that fails as often as there are errors, then gives a store."""
    left, store = list(errors), Store()

    def connect():
        if left:
            raise left.pop(0)
        return store

    return connect, store


def no_tables(_):
    raise UnavailableError("it lacks the migration 0001", reason="SCHEMA_NOT_READY")


def test_a_statement_before_the_first_look_is_refused():
    with pytest.raises(UnavailableError, match="try again"):
        AwaitedWarehouse(raising()[0], list).query("SELECT 1")


def test_statements_are_refused_with_what_is_in_the_way():
    wrong = UnauthenticatedError("ClickHouse refused the user", reason="WAREHOUSE_CREDENTIALS")
    connect, store = raising(AWAY, wrong)
    warehouse = AwaitedWarehouse(connect, lambda _: None)
    for error in (AWAY, wrong):
        with pytest.raises(type(error)):
            warehouse.check()
        with pytest.raises(type(error)) as caught:
            warehouse.insert("events", pa.table({"n": [1]}))
        assert (caught.value.message, caught.value.reason) == (error.message, error.reason)
    warehouse.check()
    warehouse.execute("CREATE TABLE t")
    assert store.asked == ["SELECT 1", "CREATE TABLE t"]
    assert warehouse.insert("events", pa.table({"n": [1, 2]})) == 2
    assert sum(batch.num_rows for batch in warehouse.stream("SELECT n")) == 1


def test_a_server_without_the_tables_is_not_kept_open():
    connect, store = raising()
    warehouse = AwaitedWarehouse(connect, no_tables)
    with pytest.raises(UnavailableError, match="0001"):
        warehouse.check()
    assert store.is_closed
    with pytest.raises(UnavailableError, match="0001"):
        warehouse.query("SELECT count() FROM events")


def test_every_look_asks_the_server():
    connect, store = raising()
    warehouse = AwaitedWarehouse(connect, lambda _: None)
    warehouse.check()
    warehouse.check()
    assert store.asked == ["SELECT 1", "SELECT 1"]


def test_closing_closes_what_was_opened():
    connect, store = raising()
    with AwaitedWarehouse(connect, lambda _: None) as warehouse:
        warehouse.check()
    assert store.is_closed


def test_one_that_was_never_open_is_closed_all_the_same():
    warehouse = AwaitedWarehouse(raising(AWAY)[0], lambda _: None)
    warehouse.close()
    with pytest.raises(UnavailableError) as caught:
        warehouse.query("SELECT 1")
    assert caught.value.reason == "WAREHOUSE_CLOSED"
