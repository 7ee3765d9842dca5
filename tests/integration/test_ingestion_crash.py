"""A stop between any two writes loses nothing and counts nothing twice."""

import pytest

from services.ingestion.adapters.sources import FileSources
from services.ingestion.adapters.vault import SqliteVault
from services.ingestion.domain.pseudonyms import Pseudonymiser
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.import_file import import_file
from services.ingestion.usecases.memory import Stores
from shared.warehouse import migrate, open_embedded

NOW = 1_700_000_000_000
ORDERS = "invoice,stock_code,quantity,timestamp,unit_price,customer_id\n" + "".join(
    f"{order},{product},1,2023-{1 + order % 6:02}-{1 + order % 28:02} 1{part}:00,2.5,{order % 9}\n"
    for order in range(40)
    for part in range(2)
    for product in "AB"
)
EVENTS = "message_id,user_id,anonymous_id,event,timestamp,revenue,order_id\n" + "".join(
    f"m{n},u{n % 7},v{n % 11},Order Completed,2023-{1 + n % 6:02}-01,{n},o{n // 2}\n"
    for n in range(60)
)
STATE = {
    "events": "SELECT * FROM events ORDER BY event_time, message_id",
    "identity": "SELECT DISTINCT from_key, to_key FROM identity ORDER BY ALL",
    "rejected": "SELECT rejection_id, row FROM events_rejected ORDER BY ALL",
}


class Crash(BaseException):
    """What a killed process looks like to the code that ran in it."""


class Crashing:
    """A warehouse whose process dies at one of its inserts, before or after it is durable."""

    def __init__(self, warehouse, at, is_durable):
        self._warehouse, self._left, self._is_durable = warehouse, at, is_durable
        self.execute, self.query = warehouse.execute, warehouse.query
        self.stream, self.close = warehouse.stream, warehouse.close

    def insert(self, table, rows):
        self._left -= 1
        if self._left >= 0:
            return self._warehouse.insert(table, rows)
        if self._is_durable:
            self._warehouse.insert(table, rows)
        raise Crash


class Context:
    is_cancelled = False

    def progress(self, *_):
        pass

    def update(self, **_):
        pass

    def raise_if_cancelled(self):
        pass


def take(warehouse, folder, path):
    vault = SqliteVault(folder / "vault.sqlite")
    stores = Stores(warehouse, vault, Pseudonymiser(b"k" * 16))
    circumstances = Circumstances(stores, FileSources(), "USD", "UTC", lambda: NOW)
    try:
        opened = circumstances.sources.open(str(path), "")
        import_file(circumstances, opened, str(path), Context())
    finally:
        vault.close()


def state(warehouse):
    return {name: warehouse.query(sql).to_pylist() for name, sql in STATE.items()}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with open_embedded(tmp_path_factory.mktemp("crash") / "warehouse") as opened:
        migrate(opened)
        yield opened


@pytest.mark.parametrize(
    ("name", "text", "writes"),
    [
        ("orders.csv", ORDERS + "x,A,one,2023-01-01,1,1\n", 7),
        ("events.csv", EVENTS + "x,,,X,2023-01-01,,\n", 4),
    ],
)
def test_starting_again_after_a_stop_at_any_write_gives_the_same_rows(
    warehouse, tmp_path, name, text, writes
):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")

    def clear():
        for table in ("events", "identity", "events_rejected"):
            warehouse.execute(f"TRUNCATE TABLE {table}")

    clear()
    take(warehouse, tmp_path, path)
    whole = state(warehouse)
    assert len(whole["events"]) > 10
    assert len(whole["rejected"]) == 1
    for at in range(writes):
        for is_durable in (False, True):
            clear()
            with pytest.raises(Crash):
                take(Crashing(warehouse, at, is_durable), tmp_path, path)
            take(warehouse, tmp_path, path)
            assert state(warehouse) == whole, (at, is_durable)
    clear()
    take(Crashing(warehouse, writes, False), tmp_path, path)  # there are no more writes than that
