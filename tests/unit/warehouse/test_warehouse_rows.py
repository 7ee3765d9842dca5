import doctest
import importlib
import pkgutil

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.warehouse
from shared.errors import InvalidArgumentError
from shared.warehouse.connections import Endpoint
from shared.warehouse.port import WarehouseQueryError
from shared.warehouse.rows import BLOCK_ROWS, blocks, fit, identifier, rebatched
from shared.warehouse.types import field


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 7))
def test_rebatching_keeps_rows_and_order_and_fills_every_batch_but_the_last(sizes, max_rows):
    numbers = iter(range(sum(sizes)))
    batches = [
        pa.record_batch({"n": pa.array([next(numbers) for _ in range(size)], pa.int64())})
        for size in sizes
    ]
    cut = list(rebatched(batches, max_rows))
    assert [n for batch in cut for n in batch["n"].to_pylist()] == list(range(sum(sizes)))
    assert all(batch.num_rows == max_rows for batch in cut[:-1])
    assert all(0 < batch.num_rows <= max_rows for batch in cut)


def test_blocks_hold_at_most_a_million_rows():
    rows = pa.table({"n": pa.array(range(BLOCK_ROWS + 1), pa.int32())})
    assert [block.num_rows for block in blocks(rows)] == [BLOCK_ROWS, 1]
    assert list(blocks(rows.slice(0, 0))) == []


@pytest.mark.parametrize("name", ["", "a b", "a`b", "a.b.c", "a;b", "1a", "a\n"])
def test_only_plain_names_become_identifiers(name):
    with pytest.raises(InvalidArgumentError):
        identifier(name)


def test_an_unknown_column_is_answered_with_the_nearest_name():
    schema = pa.schema([pa.field("message_id", pa.string(), nullable=False)])
    with pytest.raises(InvalidArgumentError, match="'message_id'") as caught:
        fit(pa.table({"mesage_id": ["x"]}), schema, "events")
    assert caught.value.metadata == {"table": "events", "column": "mesage_id"}


def test_a_repeated_column_is_refused():
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(InvalidArgumentError, match="more than once"):
        fit(rows, schema, "t")


@pytest.mark.parametrize("spec", ["UUID", "Array(IPv4)", "AggregateFunction(sum, UInt64)", "?"])
def test_a_type_that_oriel_does_not_read_is_named(spec):
    with pytest.raises(WarehouseQueryError, match="does not read"):
        field("v", spec)


@pytest.mark.parametrize(
    ("host", "choice", "is_packed"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("localhost", None, False),
        ("10.1.2.3", None, True),
        ("clickhouse.example", None, True),
        ("10.1.2.3", False, False),
        ("127.0.0.1", True, True),
    ],
)
def test_blocks_are_packed_across_a_network_only(host, choice, is_packed):
    endpoint = Endpoint(host, 9000, "u", "p", "d", False, 1, choice)
    assert endpoint.is_packing() is is_packed


@pytest.mark.parametrize(
    "module", [each.name for each in pkgutil.iter_modules(shared.warehouse.__path__)]
)
def test_the_examples_in_docstrings_hold(module):
    results = doctest.testmod(importlib.import_module(f"shared.warehouse.{module}"))
    assert results.failed == 0
