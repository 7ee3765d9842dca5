"""The products of orders as the warehouse gives them."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from services.feature.adapters.product_history import ProductHistory
from tests.support.histories import DAY_MS, Row, events_table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def order(number, day, user, products, **changes):
    values = {
        "message_id": f"m{number}",
        "event": "Order Completed",
        "user_key": user,
        "time_ms": day * DAY_MS,
        "gross_micros": 1,
        "product_ids": products,
        "quantities": (1.0,) * len(products),
    }
    return Row(**{**values, **changes})


def lines_of(warehouse, rows, end=100, known=100, prices=None):
    table = events_table(rows)
    if prices is not None:
        column = pa.array(prices, pa.list_(pa.int64()))
        table = table.append_column("price_micros", column)
    warehouse.insert("events", table)
    days = timedelta(days=end), timedelta(days=known)
    return ProductHistory(warehouse).lines(*(EPOCH + each for each in days))


def ids(lines):
    return [lines.product_ids[place] for place in lines.products]


def test_lines_are_of_paid_orders_in_the_order_of_time(warehouse):
    rows = [
        order(2, 20, 7, ("b", "a")),
        order(1, 10, 7, ("c",)),
        order(3, 30, 7, ("d",), event="Order Refunded"),
        order(4, 31, 7, ("e",), gross_micros=0),
        order(5, 32, 7, ("f", ""), quantities=(-1.0, 1.0)),
    ]
    lines, is_user = lines_of(warehouse, rows)
    assert ids(lines) == ["c", "a", "b"]
    assert lines.days.tolist() == [10, 20, 20]
    assert lines.keys.tolist() == [7, 7, 7]
    assert is_user.all()
    assert lines.orders[1] == lines.orders[2] != lines.orders[0]


def test_a_line_without_a_price_counts_where_no_price_is_known_and_not_where_it_is_free(warehouse):
    rows = [order(1, 10, 7, ("a",)), order(2, 11, 7, ("b", "c"))]
    lines, _ = lines_of(warehouse, rows, prices=[[], [0, 2_000_000]])
    assert ids(lines) == ["a", "c"]
    assert lines.prices.tolist() == [0.0, 2.0]


def test_what_comes_later_or_became_known_later_is_left_out(warehouse):
    rows = [
        order(1, 10, 7, ("a",)),
        order(2, 50, 7, ("b",)),
        order(3, 20, 7, ("c",), ingest_ms=60 * DAY_MS),
    ]
    lines, _ = lines_of(warehouse, rows, end=50, known=50)
    assert lines.product_ids == ("a",)


def test_sales_to_visitors_have_their_visitors_key_and_are_no_users(warehouse):
    rows = [order(1, 10, 0, ("a",), anonymous_key=5), order(2, 11, 0, ("b",))]
    lines, is_user = lines_of(warehouse, rows)
    assert lines.keys.tolist() == [5, 0]
    assert not is_user.any()


def test_events_without_products_give_no_line(warehouse):
    lines, _ = lines_of(warehouse, [order(1, 10, 7, ())])
    assert len(lines) == 0
    assert lines.product_ids == ()


def test_all_users_of_whom_anything_is_known_are_listed(warehouse):
    warehouse.insert("events", events_table([order(1, 10, 9, ()), Row(message_id="v", user_key=3)]))
    end = EPOCH + timedelta(days=100)
    assert ProductHistory(warehouse).users(end, end).tolist() == [3, 9]
