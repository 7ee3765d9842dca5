"""One suite for every form of the warehouse port: the embedded engine, and a server."""

import math
import random
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest

from shared.errors import InvalidArgumentError, ResourceExhaustedError
from shared.warehouse import EmbeddedWarehouse, WarehouseQueryError, connect, migrate, open_embedded
from shared.warehouse.migrations import MIGRATIONS, shipped
from tests.support.native_front_process import running_front

TIME = pa.timestamp("ms", "UTC")
HARD_TEXTS = [
    "",
    "plain",
    "it's",
    'say "no"',
    "back\\slash",
    "\\N",
    "tab\tline\nreturn\rnul\0bell\a",
    "' OR 1 = 1 --",
    "'; DROP TABLE events; --",
    "{name:String}",
    "%(name)s %s",
    "[1,2]",
    "NULL",
    "Ünïcødé 漢字 😀",
]


@pytest.fixture(scope="module", params=["embedded", "server"])
def warehouse(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("warehouse") / "data"
    if request.param == "embedded":
        with open_embedded(folder) as opened:
            yield opened
        return
    with (
        running_front(folder) as address,
        connect(address.host, address.port, address.user, address.password) as opened,
    ):
        yield opened


@pytest.fixture
def table(warehouse):
    """Make a table of these columns; it is dropped after the test."""
    names = []

    def make(columns, order_by="tuple()", partition_by="tuple()"):
        names.append(f"contract_{len(names)}")
        warehouse.execute(
            f"CREATE OR REPLACE TABLE {names[-1]} ({columns}) ENGINE = MergeTree "
            f"PARTITION BY {partition_by} ORDER BY {order_by}"
        )
        return names[-1]

    yield make
    for name in names:
        warehouse.execute(f"DROP TABLE {name}")


ROUND_TRIPS = {
    "UInt64": (pa.uint64(), [0, 1, 2**63, 2**64 - 1]),
    "Int64": (pa.int64(), [-(2**63), -1, 2**63 - 1]),
    "UInt16": (pa.uint16(), [0, 65_535]),
    "UInt8": (pa.uint8(), [0, 255]),
    "Float64": (pa.float64(), [0.0, -1.5, 1e308, math.inf, -math.inf]),
    "Float32": (pa.float32(), [0.5, -math.inf]),
    "Bool": (pa.bool_(), [True, False]),
    "String": (pa.string(), HARD_TEXTS),
    "LowCardinality(String)": (pa.string(), ["a", "b", "a", "", "é"]),
    "Date": (pa.date32(), [date(1970, 1, 1), date(2011, 9, 10)]),
    "DateTime64(3, 'UTC')": (
        TIME,
        [
            datetime(1901, 1, 2, 3, 4, 5, 6000, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
            datetime(1997, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
            datetime(2038, 1, 19, 3, 14, 8, 1000, tzinfo=UTC),
        ],
    ),
    "Decimal(18, 3)": (pa.decimal128(18, 3), [Decimal("1.500"), Decimal("-0.001")]),
    "Nullable(Int64)": (pa.int64(), [None, -5]),
    "Nullable(String)": (pa.string(), [None, "", "x"]),
    "LowCardinality(Nullable(String))": (pa.string(), [None, "", "x", "x"]),
    "Array(String)": (pa.list_(pa.string()), [[], ["it's", "", "漢"], ["a\nb\\"]]),
    "Array(Float64)": (pa.list_(pa.float64()), [[], [1.5, math.inf], [0.0]]),
    "Array(Int64)": (pa.list_(pa.int64()), [[], [-(2**63), 2**63 - 1]]),
    "Array(LowCardinality(String))": (pa.list_(pa.string()), [["a", "a"], []]),
    "Map(LowCardinality(String), Bool)": (
        pa.map_(pa.string(), pa.bool_()),
        [[], [("ads", True), ("e'mail", False)]],
    ),
}


def kind_of(type_name):
    """The type as the port promises it, with nothing nullable that is not Nullable."""
    is_nullable = "Nullable" in type_name
    kind = ROUND_TRIPS[type_name][0]
    if pa.types.is_map(kind):
        kind = pa.map_(kind.key_type, pa.field("value", kind.item_type, nullable=False))
    elif pa.types.is_list(kind):
        kind = pa.list_(pa.field("item", kind.value_type, nullable=False))
    return pa.field("v", kind, nullable=is_nullable)


@pytest.mark.parametrize("type_name", ROUND_TRIPS)
def test_values_come_back_as_they_were(warehouse, table, type_name):
    kind, values = ROUND_TRIPS[type_name]
    name = table(f"n UInt32, v {type_name}", "n")
    rows = pa.table({"v": pa.array(values, kind), "n": pa.array(range(len(values)), pa.uint32())})
    assert warehouse.insert(name, rows) == len(values)
    answer = warehouse.query(f"SELECT v FROM {name} ORDER BY n")
    assert answer["v"].to_pylist() == values
    assert answer.schema.field("v").equals(kind_of(type_name), check_metadata=True)


@pytest.mark.parametrize("type_name", ROUND_TRIPS)
def test_an_empty_answer_has_the_same_schema(warehouse, table, type_name):
    name = table(f"v {type_name}")
    warehouse.insert(name, pa.table({"v": pa.array(*reversed(ROUND_TRIPS[type_name]))}))
    full = warehouse.query(f"SELECT v FROM {name}")
    assert full.num_rows
    for empty in (
        warehouse.query(f"SELECT v FROM {name} WHERE rand() > 5000000000"),
        pa.Table.from_batches(warehouse.stream(f"SELECT v FROM {name} LIMIT 0")),
        pa.Table.from_batches(warehouse.stream(f"SELECT v FROM {name}")).slice(0, 0),
    ):
        assert empty.num_rows == 0
        assert empty.schema == full.schema


def test_not_a_number_is_kept(warehouse, table):
    name = table("v Float64, a Array(Float64)")
    warehouse.insert(name, pa.table({"v": [math.nan], "a": [[math.nan, 1.0]]}))
    row = warehouse.query(f"SELECT v, a FROM {name}").to_pylist()[0]
    assert math.isnan(row["v"])
    assert math.isnan(row["a"][0])


def test_bytes_in_a_wrong_encoding_come_back_as_they_were(warehouse, table):
    name = table("v String")
    raw = b"caf\xe9 \xff\x00"
    warehouse.insert(name, pa.table({"v": pa.array([raw], pa.binary())}))
    answer = warehouse.query(f"SELECT v FROM {name}")
    assert answer["v"].cast(pa.binary()).to_pylist() == [raw]


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        *[("String", text) for text in HARD_TEXTS],
        ("UInt64", 2**64 - 1),
        ("Int64", -(2**63)),
        ("Float64", 0.1),
        ("Float64", math.inf),
        ("Bool", True),
        ("Bool", False),
        ("Date", date(2011, 9, 10)),
        ("DateTime64(3, 'UTC')", datetime(1997, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)),
        ("Nullable(String)", None),
        ("Array(String)", HARD_TEXTS),
        ("Array(String)", []),
        ("Array(UInt64)", [0, 2**64 - 1]),
        ("Array(DateTime64(3, 'UTC'))", [datetime(1997, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)]),
        ("Map(String, Bool)", {"it's": True, "b\\": False}),
    ],
)
def test_a_parameter_arrives_as_it_was(warehouse, type_name, value):
    answer = warehouse.query(f"SELECT {{p:{type_name}}} AS v", {"p": value})["v"].to_pylist()[0]
    assert (dict(answer) if isinstance(value, dict) else answer) == value


def test_a_time_of_another_zone_means_the_same_instant(warehouse):
    moment = datetime(2011, 3, 27, 3, 30, tzinfo=timezone(timedelta(hours=2)))
    answer = warehouse.query("SELECT {p:DateTime64(3,'UTC')} AS v", {"p": moment})
    assert answer["v"].to_pylist() == [moment]


def test_a_parameter_is_never_read_as_sql(warehouse, table):
    name = table("v String")
    warehouse.insert(name, pa.table({"v": HARD_TEXTS}))
    for text in HARD_TEXTS:
        answer = warehouse.query(
            f"SELECT count() AS n, any(v) AS found FROM {name} WHERE v = {{p:String}}", {"p": text}
        )
        assert answer.to_pylist() == [{"n": 1, "found": text}]


def test_parameters_work_in_statements_without_an_answer(warehouse, table):
    name = table("v String, n UInt64")
    warehouse.execute(
        f"INSERT INTO {name} SELECT {{text:String}}, number FROM numbers({{n:UInt64}})",
        {"text": "it's", "n": 3},
    )
    warehouse.execute(
        f"ALTER TABLE {name} DELETE WHERE n = {{n:UInt64}} SETTINGS mutations_sync = 2", {"n": 1}
    )
    answer = warehouse.query(f"SELECT v, n FROM {name} ORDER BY n").to_pylist()
    assert answer == [{"v": "it's", "n": 0}, {"v": "it's", "n": 2}]


def test_eight_threads_each_get_their_own_answers(warehouse):
    wrong = []
    turns = 400 if isinstance(warehouse, EmbeddedWarehouse) else 100

    def ask(thread):
        draw = random.Random(thread)
        for turn in range(turns):
            number, text = thread * 1_000_000 + turn, f"{thread}'{turn}"
            parameters = {"n": number, "t": text}
            if draw.random() < 0.3:
                sql = (
                    "SELECT {n:UInt64} + sum(number) - 4950 AS n, {t:String} AS t FROM numbers(100)"
                )
                answer = pa.Table.from_batches(warehouse.stream(sql, parameters))
            else:
                answer = warehouse.query("SELECT {n:UInt64} AS n, {t:String} AS t", parameters)
            if answer.to_pylist() != [{"n": number, "t": text}]:
                wrong.append((thread, turn, answer.to_pylist()))

    in_threads(8, ask)
    assert wrong == []


def test_eight_threads_insert_without_losing_a_row(warehouse, table):
    name = table("thread UInt64, turn UInt64")

    def add(thread):
        for turn in range(10):
            rows = pa.table({"turn": [turn] * 20, "thread": [thread] * 20})
            warehouse.insert(name, rows)

    in_threads(8, add)
    answer = warehouse.query(
        f"SELECT count() AS n, uniqExact(thread, turn) AS pairs, "
        f"sum(thread * 1000 + turn) AS total FROM {name}"
    )
    total = sum(thread * 1000 + turn for thread in range(8) for turn in range(10)) * 20
    assert answer.to_pylist() == [{"n": 1600, "pairs": 80, "total": total}]


def test_a_stream_gives_all_rows_in_batches_of_the_asked_size(warehouse):
    batches = list(
        warehouse.stream("SELECT number FROM numbers(10000) ORDER BY number", max_rows=4096)
    )
    assert [batch.num_rows for batch in batches] == [4096, 4096, 1808]
    assert pa.Table.from_batches(batches)["number"].to_pylist() == list(range(10_000))


def test_a_dropped_stream_leaves_the_warehouse_usable(warehouse):
    stream = warehouse.stream("SELECT number FROM numbers(100000000)", max_rows=1000)
    assert next(stream).num_rows == 1000
    assert warehouse.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]
    stream.close()
    assert warehouse.query("SELECT 2 AS two").to_pylist() == [{"two": 2}]


def test_a_large_batch_goes_in_and_comes_out(warehouse, table):
    name = table("n UInt64, t DateTime64(3, 'UTC'), v String", "n", "toYYYYMM(t)")
    count = 100_000
    rows = pa.table(
        {
            "n": pa.array(range(count), pa.uint64()),
            "t": pa.array([i * 4_000_000 for i in range(count)], TIME),
            "v": [f"row {i}" for i in range(count)],
        }
    )
    assert warehouse.insert(name, rows) == count
    answer = warehouse.query(f"SELECT n, t, v FROM {name}").sort_by("n")
    assert answer.cast(rows.schema).equals(rows)


@pytest.mark.parametrize("cut", ["sliced", "chunked", "dictionary", "large", "empty"])
def test_any_shape_of_arrow_table_is_stored_right(warehouse, table, cut):
    name = table("n UInt64, s String, b Bool, a Array(String)", "n")
    whole = pa.table(
        {
            "a": [[str(i)] * (i % 3) for i in range(200)],
            "b": [i % 7 == 0 for i in range(200)],
            "s": [f"s{i % 5}" for i in range(200)],
            "n": pa.array(range(200), pa.uint64()),
        }
    )
    rows = {
        "sliced": whole.slice(13, 50),
        "chunked": pa.concat_tables([whole.slice(3, 1), whole.slice(50, 9), whole.slice(77)]),
        "dictionary": whole.set_column(2, "s", whole["s"].dictionary_encode()),
        "large": whole.set_column(2, "s", whole["s"].cast(pa.large_string())),
        "empty": whole.slice(0, 0),
    }[cut]
    assert warehouse.insert(name, rows) == rows.num_rows
    answer = warehouse.query(f"SELECT a, b, s, n FROM {name} ORDER BY n")
    assert answer.to_pylist() == rows.to_pylist()


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("mesage", pa.array(["x"]), "UNKNOWN_COLUMN"),
        ("message", pa.array([None], pa.string()), "NULL_VALUE"),
        ("tags", pa.array([["a", None]]), "NULL_VALUE"),
        ("small", pa.array([70_000]), "BAD_COLUMN"),
        ("small", pa.array([-1]), "BAD_COLUMN"),
        ("small", pa.array(["x"]), "BAD_COLUMN"),
        ("moment", pa.array([1], pa.timestamp("ms")), "NAIVE_TIME"),
        ("moment", pa.array([1], pa.timestamp("us", "UTC")), "BAD_COLUMN"),
    ],
)
def test_a_column_that_does_not_fit_is_refused_by_name(warehouse, table, column, values, reason):
    name = table("message String, tags Array(String), small UInt16, moment DateTime64(3, 'UTC')")
    with pytest.raises(InvalidArgumentError, match=column) as caught:
        warehouse.insert(name, pa.table({column: values}))
    assert caught.value.reason == reason
    assert warehouse.query(f"SELECT count() AS n FROM {name}").to_pylist() == [{"n": 0}]


def test_columns_left_out_get_their_defaults(warehouse, table):
    name = table("a String, b UInt64 DEFAULT 7, c Array(String)")
    warehouse.insert(name, pa.table({"a": ["x"]}))
    assert warehouse.query(f"SELECT a, b, c FROM {name}").to_pylist() == [
        {"a": "x", "b": 7, "c": []}
    ]


@pytest.mark.parametrize(
    ("sql", "code"),
    [("SELECT bad FROM", 62), ("SELECT no_such_column", 47), ("SELECT {p:String}", 456)],
)
def test_a_wrong_statement_is_a_bug_and_not_a_domain_error(warehouse, sql, code):
    for ask in (warehouse.query, warehouse.execute, lambda sql: list(warehouse.stream(sql))):
        with pytest.raises(WarehouseQueryError) as caught:
            ask(sql)
        assert caught.value.code == code
    assert warehouse.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_a_statement_that_takes_too_long_or_too_much_is_an_exhausted_resource(warehouse):
    endless = "SELECT sum(number) AS n FROM numbers(100000000000)"
    with pytest.raises(ResourceExhaustedError) as caught:
        warehouse.query(f"{endless} SETTINGS max_execution_time = 0.2")
    assert caught.value.reason == "WAREHOUSE_TIMEOUT"
    greedy = "SELECT groupArray(number) AS n FROM numbers(100000000)"
    with pytest.raises(ResourceExhaustedError) as caught:
        warehouse.query(f"{greedy} SETTINGS max_memory_usage = 10000000")
    assert caught.value.reason == "WAREHOUSE_EXHAUSTED"


def test_migrations_apply_once_and_latest_pins_the_last(warehouse):
    names = [migration.name for migration in shipped()]
    assert migrate(warehouse) == names
    assert migrate(warehouse) == []
    assert (MIGRATIONS / "LATEST").read_text().split() == names[-1:]
    journal = warehouse.query("SELECT name FROM schema_migrations ORDER BY name")
    assert journal["name"].to_pylist() == names


def in_threads(count, work):
    errors = []

    def guarded(index):
        try:
            work(index)
        except BaseException as error:  # noqa: BLE001 (told to the test's own thread)
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
