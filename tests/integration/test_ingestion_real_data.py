"""Real shops: totals equal to a plain recomputation over the file, and nothing twice."""

from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from services.ingestion.adapters.sources import FileSources
from services.ingestion.adapters.vault import SqliteVault
from services.ingestion.domain.pseudonyms import Pseudonymiser
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.import_file import import_file
from services.ingestion.usecases.memory import Stores
from services.ingestion.usecases.ports import Tally
from services.ingestion.usecases.summary import summarise
from shared.warehouse import migrate, open_embedded

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there"),
]
NOW = 1_700_000_000_000


class Context:
    is_cancelled = False

    def progress(self, completed, total, unit, message=""):
        assert completed <= total
        assert unit == "rows"

    def update(self, **_):
        pass

    def raise_if_cancelled(self):
        pass


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with open_embedded(tmp_path_factory.mktemp("real") / "warehouse") as opened:
        migrate(opened)
        yield opened


@pytest.fixture
def shop(warehouse, tmp_path):
    for table in ("events", "identity", "events_rejected"):
        warehouse.execute(f"TRUNCATE TABLE {table}")
    vault = SqliteVault(tmp_path / "vault.sqlite")
    stores = Stores(warehouse, vault, Pseudonymiser(b"k" * 16))
    yield Circumstances(stores, FileSources(), "GBP", "UTC", lambda: NOW)
    vault.close()


def take(shop, path) -> Tally:
    opened = shop.sources.open(str(path), "")
    return Tally(**import_file(shop, opened, str(path), Context()))


def held(shop):
    return summarise(shop.stores.warehouse, None, "UTC").counts


def by_hand(path):
    """The totals of a file of order lines, with numpy alone."""
    table = pq.read_table(path)
    column = {name: table.column(name).to_numpy() for name in table.column_names}
    is_good = column["unit_price"] >= 0
    invoice = column["invoice"].astype(str)
    micros = np.rint(column["unit_price"] * 1e6).astype(np.int64) * column["quantity"]
    is_sale = (column["quantity"] > 0) & (column["unit_price"] > 0)
    is_sale &= ~np.char.startswith(invoice, "C")
    is_nobody = np.isnan(column["customer_id"].astype(float))
    return {
        "order_count": len(set(invoice[is_sale])),
        "gross_micros": int(micros[is_sale].sum()),
        "net_micros": int(micros[is_good].sum()),
        "line_count": int(is_good.sum()),
        "anonymous_line_count": int((is_good & is_nobody).sum()),
        "anonymous_order_count": len(set(invoice[is_sale & is_nobody])),
        "anonymous_gross_micros": int(micros[is_sale & is_nobody].sum()),
        "user_count": len(set(column["customer_id"][is_good & ~is_nobody].tolist())),
    }


@pytest.mark.parametrize(
    ("name", "rows", "rejected"),
    [("online_retail", 334_054, 2), ("online_retail_ii_uk", 529_343, 0)],
)
def test_totals_of_a_shop_are_those_of_its_file_and_stay_so(shop, name, rows, rejected):
    path = DATA / name / "events.parquet"
    done = take(shop, path)
    assert (done.row_count, done.rejected_row_count) == (rows, rejected)
    assert done.accepted_row_count == rows - rejected
    wanted = by_hand(path)
    assert {key: held(shop)[key] for key in wanted} == wanted
    assert done.anonymous_row_count == wanted["anonymous_line_count"]
    counted = shop.stores.warehouse.query(
        """SELECT countIf(order_part = 0 AND gross_micros > 0) AS orders, count() AS events,
            uniqExact(message_id) AS messages FROM events"""
    ).to_pylist()[0]
    assert counted["orders"] == wanted["order_count"]
    assert counted["events"] == counted["messages"]
    again = take(shop, path)
    assert (again.accepted_row_count, again.duplicate_row_count) == (0, rows - rejected)
    assert {key: held(shop)[key] for key in wanted} == wanted


def test_purchases_without_order_numbers_are_each_an_order(shop):
    path = DATA / "cdnow" / "transactions.parquet"
    done = take(shop, path)
    assert done.accepted_row_count == done.event_count == 56_854
    amount = pq.read_table(path).column("amount").to_numpy()
    micros = int(np.rint(amount * 1e6).astype(np.int64).sum())
    counts = held(shop)
    assert counts["order_count"] == int((amount > 0).sum())
    assert counts["gross_micros"] == counts["net_micros"] == micros
    assert take(shop, path).accepted_row_count == 0


def test_a_shop_that_grew_and_changed_its_format_adds_only_what_is_new(shop, tmp_path):
    table = pq.read_table(DATA / "online_retail" / "events.parquet")
    cut = np.datetime64("2011-06-12")
    is_old = table.column("timestamp").to_numpy() < cut
    pa_csv.write_csv(table.filter(is_old), tmp_path / "old.csv")
    first = take(shop, tmp_path / "old.csv")
    done = take(shop, DATA / "online_retail" / "events.parquet")
    assert first.accepted_row_count == int(is_old.sum())
    assert done.duplicate_row_count == first.accepted_row_count
    columns = "message_id, order_id, order_part, gross_micros, net_micros, properties"
    rows = f"SELECT cityHash64(groupArray(tuple({columns}))) FROM (SELECT * FROM events ORDER BY 1)"
    grown = shop.stores.warehouse.query(rows).column(0)[0].as_py()
    shop.stores.warehouse.execute("TRUNCATE TABLE events")
    take(shop, DATA / "online_retail" / "events.parquet")
    assert shop.stores.warehouse.query(rows).column(0)[0].as_py() == grown
