"""Lines of orders become events, whatever way and however often they come."""

import random

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

HEADER = "invoice,stock_code,description,quantity,timestamp,unit_price,customer_id,country\n"
LINES = [
    "1,A,red,2,2023-01-01 10:00,1.50,7,UK\n",
    "1,B,blue,1,2023-01-01 10:00,4.00,7,UK\n",
    "1,B,blue,1,2023-01-01 10:00,4.00,7,UK\n",  # an equal line is a line
    "2,A,red,3,2023-01-05 09:30,1.25,,France\n",  # nobody known
    "C3,A,red,-1,2023-01-09 11:00,1.50,7,UK\n",  # a refund
    "4,A,,-5,2023-01-10 11:00,0,,UK\n",  # a stock correction
    "1,C,green,1,2023-01-20 10:00,2.00,7,UK\n",  # a later part of order 1
    "5,D,free,1,2023-01-20 12:00,0,8,UK\n",
    "5,D,paid,1,2023-01-21 12:00,0.5,8,UK\n",
]


def write(world, lines, name="orders.csv"):
    return world.file(name, HEADER + "".join(lines))


def test_lines_of_one_order_customer_and_instant_are_one_event(world):
    done = world.take(write(world, LINES))
    assert (done.row_count, done.accepted_row_count, done.event_count) == (9, 9, 7)
    assert done.anonymous_row_count == 2
    first = world.events()[0]
    assert first["event"] == "Order Completed"
    assert (first["gross_micros"], first["net_micros"]) == (11_000_000, 11_000_000)
    assert first["product_ids"] == ["A", "B", "B"]
    assert first["quantities"] == [2.0, 1.0, 1.0]
    assert first["price_micros"] == [1_500_000, 4_000_000, 4_000_000]
    assert len(set(first["line_ids"])) == 3
    assert first["properties"] == '{"country":"UK","description":["red","blue","blue"]}'
    assert first["is_backfill"]
    assert first["ingest_time"] == first["event_time"]


def test_refunds_and_corrections_have_no_gross_and_take_from_net(world):
    world.take(write(world, LINES))
    rows = {row["order_id"]: row for row in world.events() if row["order_id"] in ("C3", "4")}
    assert rows["C3"]["event"] == "Order Refunded"
    assert (rows["C3"]["gross_micros"], rows["C3"]["net_micros"]) == (0, -1_500_000)
    assert rows["4"]["event"] == "Order Completed"
    assert (rows["4"]["gross_micros"], rows["4"]["net_micros"]) == (0, 0)


def test_part_zero_with_a_sale_is_there_once_for_each_order_that_sold(world):
    world.take(write(world, LINES))
    parts = {(row["order_id"], row["event_time"].day): row["order_part"] for row in world.events()}
    assert parts["1", 1] == 0
    assert parts["1", 20] == 1
    assert (parts["5", 20], parts["5", 21]) == (0, 0)  # the free part is no sale
    sold = "SELECT countIf(order_part = 0 AND gross_micros > 0) FROM events"
    distinct = "SELECT uniqExactIf(order_id, gross_micros > 0) FROM events"
    assert world.one(sold) == world.one(distinct) == 3


def test_the_same_file_again_adds_nothing(world):
    path = write(world, LINES)
    world.take(path)
    before = world.events()
    again = world.take(path)
    assert (again.accepted_row_count, again.duplicate_row_count, again.event_count) == (0, 9, 0)
    assert world.events() == before


def test_a_grown_file_under_another_name_adds_only_its_new_rows(world):
    world.take(write(world, LINES[:6]))
    done = world.take(write(world, [*LINES, LINES[0]], "later.csv"))
    # The last line equals the first, yet it is one more of them.
    assert (done.accepted_row_count, done.duplicate_row_count) == (4, 6)


# A cut by time parts no instant.
CUTS = [n for n in range(1, len(LINES)) if LINES[n].split(",")[4] != LINES[n - 1].split(",")[4]]


@pytest.mark.parametrize("cut", CUTS)
def test_a_file_cut_by_time_gives_equal_events_in_two_goes(world, cut):
    world.take(write(world, LINES))
    at_once = world.events()
    for table in ("events", "identity"):
        world.warehouse.execute(f"TRUNCATE TABLE {table}")
    world.take(write(world, LINES[:cut]))
    world.take(write(world, LINES))
    assert world.events() == at_once


def test_neither_the_order_of_rows_and_columns_nor_the_format_counts(world):
    path = write(world, LINES)
    world.take(path)
    shuffled = list(LINES)
    random.Random(3).shuffle(shuffled)
    assert world.take(write(world, shuffled, "shuffled.csv")).accepted_row_count == 0
    table = pa_csv.read_csv(path)
    columns = sorted(table.column_names, reverse=True)
    pq.write_table(table.select(columns), world.folder / "orders.parquet")
    assert world.take(str(world.folder / "orders.parquet")).accepted_row_count == 0


def test_another_source_is_another_shop(world):
    path = write(world, LINES)
    world.take(path)
    assert world.take(path, source="till").accepted_row_count == 9


def test_rows_without_order_numbers_are_orders_of_their_own(world):
    twice = "1,1997-01-01,1,11.77\n" * 2
    text = f"customer_id,date,quantity,amount\n{twice}2,1997-01-02,1,0\n"
    done = world.take(world.file("cd.csv", text))
    assert (done.accepted_row_count, done.event_count) == (3, 3)
    rows = world.events()
    assert [row["gross_micros"] for row in rows] == [11_770_000, 11_770_000, 0]
    assert all(row["order_id"] == row["line_ids"][0] for row in rows)
    assert {row["order_part"] for row in rows} == {0}


def test_naive_times_are_in_the_zone_of_the_mapping(world):
    mapping = """
kind: orders
time_zone: Europe/London
columns:
  {order: invoice, user: customer_id, time: timestamp, quantity: quantity, unit_price: unit_price}
"""
    line = "1,A,red,2,2023-07-01 10:00,1.50,7,UK\n"
    world.take(write(world, [line]), mapping)
    assert world.events()[0]["event_time"].isoformat() == "2023-07-01T09:00:00+00:00"


def test_customers_written_as_fractions_are_the_same_customers(world):
    line = "1,A,red,2,2023-01-01 10:00,1.50,17850.0,UK\n"
    world.take(write(world, [line, line.replace("17850.0", "17850").replace("1,A", "2,A")]))
    assert world.one("SELECT uniqExact(user_key) FROM events") == 1
    [key] = {row["user_key"] for row in world.events()}
    assert world.vault.source_ids([key]) == ["17850"]


def test_money_is_rounded_half_to_even_at_the_price_and_exact_after(world):
    line = "1,A,red,1000000,2023-01-01 10:00,0.0000015,7,UK\n"
    world.take(write(world, [line]))
    assert world.events()[0]["gross_micros"] == 2_000_000
