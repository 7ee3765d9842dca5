"""A file with broken rows: the good are stored, every bad one is kept with its reason."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import InvalidArgumentError

HEADER = "invoice,stock_code,quantity,timestamp,unit_price,customer_id"
GOOD = "1001,A,2,2023-01-01 10:00,1.50,7"
FIXED = """
kind: orders
columns:
  order: {column: invoice, default: unknown}
  user: customer_id
  time: {column: timestamp, formats: ["%d.%m.%Y"]}
  product: stock_code
  quantity: {column: quantity, default: "1"}
  unit_price: unit_price
null_values: ["", "two"]
negative_price: accept
encoding: latin-1
limits: {field_bytes: 20000000, future_days: 40000}
"""
BROKEN = {
    1: (",A,2,2023-01-01 10:00,1.50,7", "MISSING_FIELD", "invoice"),
    2: ("1002,A,2,31.12.2022,1.50,7", "BAD_TIMESTAMP", "timestamp"),
    3: ("1003,A,two,2023-01-01 10:00,1.50,7", "BAD_NUMBER", "quantity"),
    4: ("1004,A,2,2023-01-01 10:00,-1.50,7", "NEGATIVE_PRICE", "unit_price"),
    5: ("1005,A,2,2099-01-01 10:00,1.50,7", "FUTURE_TIMESTAMP", "timestamp"),
    6: ("1006,Caf\xe9,2,2023-01-01 10:00,1.50,7", "BAD_ENCODING", "stock_code"),
    7: (f"1007,{'x' * 10_000_000},2,2023-01-01 10:00,1.50,7", "FIELD_TOO_LARGE", "stock_code"),
}


def broken_file() -> bytes:
    lines = [HEADER, GOOD, *(line for line, _, _ in BROKEN.values()), "1008,B,1,2023-01-02,2,8"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"


def test_the_good_are_stored_and_every_bad_one_is_kept_with_reason_and_field(world):
    done = world.take(world.file("orders.csv", broken_file()))
    assert (done.row_count, done.accepted_row_count, done.rejected_row_count) == (9, 2, 7)
    wanted = {(row, reason, field) for row, (_, reason, field) in BROKEN.items()}
    assert world.faults() == wanted
    assert [event["order_id"] for event in world.events()] == ["1001", "1008"]


def test_the_original_bytes_of_each_bad_row_are_kept(world):
    world.take(world.file("orders.csv", broken_file()))
    letters = world.vault.letters([row.rejection_id for row in world.rejected()])
    payloads = {letter.payload for letter in letters.values()}
    assert payloads == {line.encode("latin-1") for line, _, _ in BROKEN.values()}


def test_replay_after_a_fixed_mapping_loads_them_all(world):
    path = world.file("orders.csv", broken_file())
    world.take(path)
    done = world.replay(FIXED)
    assert (done.row_count, done.accepted_row_count, done.rejected_row_count) == (7, 7, 0)
    assert world.rejected() == []
    assert sorted(event["order_id"] for event in world.events()) == [
        "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "unknown",
    ]  # fmt: skip
    assert world.events("product_ids")[-2]["product_ids"]
    assert world.replay(FIXED).row_count == 0


def test_the_file_again_stores_neither_rows_nor_letters_again_even_after_a_replay(world):
    path = world.file("orders.csv", broken_file())
    world.take(path)
    again = world.take(path)
    assert (again.duplicate_row_count, again.accepted_row_count) == (2, 0)
    assert len(world.rejected()) == 7
    world.replay(FIXED)
    world.take(path)
    assert world.rejected() == []
    assert world.one("SELECT count() FROM events_rejected") == 7


def test_a_replayed_file_and_the_file_under_the_fixed_mapping_are_the_same_rows(world):
    path = world.file("orders.csv", broken_file())
    world.take(path)
    world.replay(FIXED)
    again = world.take(path, FIXED)
    assert (again.accepted_row_count, again.duplicate_row_count) == (0, 9)


def test_replay_without_a_mapping_keeps_what_is_still_broken(world):
    world.take(world.file("orders.csv", broken_file()))
    done = world.replay()
    assert (done.row_count, done.accepted_row_count, done.rejected_row_count) == (7, 0, 7)
    assert len(world.rejected()) == 7


def test_replay_can_take_one_reason_only(world):
    world.take(world.file("orders.csv", broken_file()))
    assert world.replay(FIXED, reason="NEGATIVE_PRICE").accepted_row_count == 1
    assert "NEGATIVE_PRICE" not in {row.reason for row in world.rejected()}


def test_equal_broken_rows_are_letters_of_their_own_and_load_as_rows_of_their_own(world):
    path = world.file("orders.csv", "\n".join([HEADER, *["1,A,two,2023-01-01,3,7"] * 3]))
    world.take(path)
    world.take(path)
    assert len(world.rejected()) == 3
    world.replay(FIXED)
    assert world.one("SELECT sum(length(line_ids)) FROM events") == 3


def test_a_replayed_line_joins_its_order_as_a_further_part(world):
    lines = [HEADER, "5,A,1,2023-01-01,3,7", "5,B,two,2023-01-01,4,7"]
    world.take(world.file("orders.csv", "\n".join(lines)))
    world.replay(FIXED)
    rows = world.events("order_id, order_part, gross_micros")
    assert sorted((row["order_part"], row["gross_micros"]) for row in rows) == [
        (0, 3_000_000),
        (1, 4_000_000),
    ]
    assert world.one("SELECT countIf(order_part = 0 AND gross_micros > 0) FROM events") == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EMPTY_FILE"),
        (b"\n \n", "EMPTY_FILE"),
        (b"PAR1 and then nothing", "UNREADABLE_FILE"),
        ("a,b\n1,2".encode("utf-16"), "UNREADABLE_FILE"),
        (b"[{}]", "UNREADABLE_FILE"),
        (b"\x1f\x8bnot gzip", "UNREADABLE_FILE"),
        (b"nr,kunde,wann\n1,2,3\n", "WRONG_COLUMNS"),
        (b"invoice,invoice\n1,2\n", "WRONG_COLUMNS"),
        (b"\n  \nno header here\n", "WRONG_COLUMNS"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused_with_a_reason(world, content, reason):
    with pytest.raises(InvalidArgumentError) as caught:
        world.take(world.file("orders", content))
    assert caught.value.reason == reason
    assert world.one("SELECT count() FROM events_rejected") == 0


def test_a_file_that_is_not_there_is_refused_with_its_path(world):
    with pytest.raises(InvalidArgumentError, match=r"nowhere\.csv does not exist") as caught:
        world.take("nowhere.csv")
    assert caught.value.reason == "FILE_NOT_FOUND"


def test_wrong_columns_are_listed_with_the_nearest_names_and_the_line_that_mends_it(world):
    text = HEADER.replace("unit_price", "unit_prise").replace("timestamp", "time_stamped") + "\n"
    with pytest.raises(InvalidArgumentError) as caught:
        world.take(world.file("orders.csv", text + GOOD))
    message = caught.value.message
    assert "unit_prise" in message
    assert "`unit_price: unit_prise`" in message
    assert "`time: time_stamped`" in message
    assert "--mapping" in message


def test_a_header_without_rows_is_a_file_of_no_rows(world):
    assert world.take(world.file("orders.csv", HEADER + "\n")).row_count == 0


def test_a_broken_parquet_column_is_judged_value_by_value(world):
    table = pa.table(
        {
            "invoice": ["1", "2", None],
            "stock_code": pa.array([b"A", b"\xff", b"C"], pa.binary()),
            "quantity": ["1", "2", "3"],
            "timestamp": ["2023-01-01", "2023-01-01", "2023-01-01"],
            "unit_price": ["1", "1", "1"],
            "customer_id": [1.0, 2.0, None],
        }
    )
    path = world.folder / "orders.parquet"
    pq.write_table(table, path)
    world.take(str(path))
    assert world.faults() == {
        (1, "BAD_ENCODING", "stock_code"),
        (2, "MISSING_FIELD", "invoice"),
    }


def test_rows_of_json_lines_are_judged_one_by_one(world):
    lines = [
        b'{"invoice":"1","stock_code":"A","quantity":1,"timestamp":"2023-01-01","unit_price":2.5,'
        b'"customer_id":7}',
        b'{"invoice":"2",',
        b'["no", "object"]',
        b'{"invoice":"\xff"}',
    ]
    world.take(world.file("orders.jsonl", b"\n".join(lines)))
    assert world.faults() == {(1, "BAD_JSON", ""), (2, "BAD_JSON", ""), (3, "BAD_ENCODING", "")}
    assert world.events("gross_micros")[0]["gross_micros"] == 2_500_000


def test_packed_files_are_unpacked(world):
    packed = gzip.compress(f"{HEADER}\n{GOOD}\n".encode())
    assert world.take(world.file("orders.csv.gz", packed)).accepted_row_count == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1002,A,2,2023-01-01 10:00,1.50", "WRONG_COLUMN_COUNT"),
        ("1002,A,2,2023-01-01 10:00,1.50,7,8", "WRONG_COLUMN_COUNT"),
        ('1002,"A,2,2023-01-01 10:00,1.50,7', "UNCLOSED_QUOTE"),
    ],
)
def test_a_record_that_cannot_be_taken_apart_does_not_take_its_neighbours_along(
    world, line, reason
):
    text = "\n".join([HEADER, GOOD, line, '1003,"B ""5""\nand",2,2023-01-01,1,7', GOOD, ""])
    done = world.take(world.file("orders.csv", text))
    assert (done.row_count, done.accepted_row_count) == (4, 3)
    assert world.faults() == {(1, reason, "")}
    products = {product for event in world.events() for product in event["product_ids"]}
    assert products == {"A", 'B "5"\nand'}


def test_stored_messages_show_the_shape_of_a_value_and_never_the_value(world):
    line = "1002,A,2,ana@example.com,1.50,7"
    world.take(world.file("orders.csv", "\n".join([HEADER, line])))
    [row] = world.rejected()
    assert "aaa@aaaaaaa.aaa" in row.message
    assert "ana" not in row.message
