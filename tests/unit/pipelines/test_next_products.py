"""The file of products named to customers, and what is said where there is none."""

import pyarrow as pa

from pipelines.next_products import COLUMNS, next_products_csv
from pipelines.side_question import SideAnswer


def test_rows_are_ordered_by_the_id_shown_and_free_places_stay_empty():
    table = pa.table({"user_key": [2, 1], "any": [["a", "b"], ["c"]], "new": [[], ["d"]]})
    lines = next_products_csv(table, {1: "zoe", 2: "ana"}).decode().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "ana,a,b" + "," * 18
    assert lines[2] == "zoe,c" + "," * 10 + "d" + "," * 9


def test_a_customer_who_is_not_shown_is_left_out():
    table = pa.table({"user_key": [1], "any": [["a"]], "new": [["b"]]})
    assert len(next_products_csv(table, {}).decode().splitlines()) == 1


def test_the_summary_says_why_there_are_none():
    said = SideAnswer(None, {}, "no order in these events names its products").summary()
    assert said == {"why_not": "no order in these events names its products"}
