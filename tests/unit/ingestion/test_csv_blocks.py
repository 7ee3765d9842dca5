"""CSV read at once and record by record is the same CSV."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingestion.adapters import csv_source
from services.ingestion.adapters.csv_records import Dialect, Record, records
from services.ingestion.adapters.csv_source import read_block
from services.ingestion.domain.reasons import Reason

DIALECT = Dialect(("a", "b"), ",", "utf-8", 50)
FIELD = st.text(alphabet='xé ,"\n;', max_size=6)


def rows_of(batch):
    return [tuple(row.values()) for row in batch.table.to_pylist()]


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_what_a_writer_wrote_is_read_back(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    block = text.getvalue().encode()
    batch, used = read_block(block, DIALECT, 0, is_last=True)
    assert used == len(block)
    assert rows_of(batch) == rows
    assert batch.rows.to_pylist() == list(range(len(rows)))
    kept = b"\n".join(batch.payloads(range(len(rows)))) + b"\n"
    assert kept.replace(b"\r", b"") == block.replace(b"\r", b"")


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"\r", b"")))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_taken_apart_without_losing_a_line(block):
    batch, used = read_block(block, DIALECT, 0, is_last=True)
    assert used == len(block)
    places = sorted([*batch.rows.to_pylist(), *(each.row for each in batch.broken)])
    assert places == list(range(batch.row_count))
    pieces = [*batch.payloads(range(batch.table.num_rows)), *(b.payload for b in batch.broken)]
    taken = sorted(line for piece in pieces for line in piece.split(b"\n") if line.strip())
    assert taken == sorted(line for line in block.split(b"\n") if line.strip())


@settings(deadline=None)
@given(st.lists(st.sampled_from(["1,2", "é,x", '"p,q",r', "3,"]), min_size=1, max_size=6))
def test_reading_at_once_and_one_by_one_agree(lines):
    block = ("\n".join(lines) + "\n").encode()
    at_once, _ = csv_source._at_once(block, DIALECT)
    one_by_one, _ = csv_source._one_by_one(block, DIALECT, 0, True)
    assert at_once is not None
    assert at_once.to_pylist() == one_by_one.table.to_pylist()


def test_a_record_that_goes_on_in_the_next_block_waits_for_it():
    block = b'1,2\n3,"four\nand'
    batch, used = read_block(block + b"\n", DIALECT, 0, is_last=False)
    assert (rows_of(batch), used) == ([("1", "2")], 4)
    batch, _ = read_block(block[4:] + b' more"\n', DIALECT, 1, is_last=True)
    assert rows_of(batch) == [("3", "four\nand more")]


@pytest.mark.parametrize(
    ("line", "reason", "column"),
    [
        (b"1", Reason.WRONG_COLUMN_COUNT, ""),
        (b"1,2,3", Reason.WRONG_COLUMN_COUNT, ""),
        (b"\xff,2", Reason.BAD_ENCODING, "a"),
        (b"1," + b"x" * 51, Reason.FIELD_TOO_LARGE, "b"),
        (b'1,"x', Reason.UNCLOSED_QUOTE, ""),
    ],
)
def test_a_bad_record_says_what_is_wrong(line, reason, column):
    [record] = records(line, DIALECT, is_last=True)
    assert isinstance(record, Record)
    assert (record.reason, record.column) == (reason, column)


def test_an_open_quote_does_not_take_the_rest_of_a_long_file():
    block = b'1,"x\n' + b"5,6\n" * 200
    batch, _ = read_block(block, DIALECT, 0, is_last=False)
    assert [each.reason for each in batch.broken] == [Reason.UNCLOSED_QUOTE]
    assert batch.table.num_rows == 200


def test_files_are_read_in_blocks_without_a_seam(world, monkeypatch):
    lines = [f'{n},A,1,2023-01-01,{n}.5,"a\nb{n % 7}"' for n in range(400)]
    text = "invoice,stock_code,quantity,timestamp,unit_price,customer_id\n" + "\n".join(lines)
    monkeypatch.setattr("services.ingestion.adapters.blocks.BLOCK_BYTES", 97)
    done = world.take(world.file("orders.csv", text))
    assert (done.row_count, done.accepted_row_count, done.event_count) == (400, 400, 400)
    assert world.one("SELECT uniqExact(user_key) FROM events") == 7


def test_flat_exports_of_segment_are_told_from_whole_events(world):
    header = "type,messageId,userId,anonymousId,event,timestamp\n"
    text = header + "track,m1,u1,,Signed Up,2023-01-01\nidentify,m2,u1,v1,,2023-01-02\n"
    assert world.take(world.file("flat.csv", text)).accepted_row_count == 2


def test_row_numbers_that_a_tool_added_do_not_count(world):
    header = "invoice,stock_code,quantity,timestamp,unit_price,customer_id"
    line = "1,A,1,2023-01-01,2,7"
    world.take(world.file("a.csv", f"{header}\n{line}\n"))
    done = world.take(world.file("b.csv", f",{header}\n17,{line}\n"))
    assert done.duplicate_row_count == 1
