"""Arrow rows made to fit a table, and cut to size."""

import difflib
import re
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import InvalidArgumentError

BLOCK_ROWS = 1_048_576
"""Most rows of one inserted block: the unit that is stored whole or not at all."""

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def identifier(name: str) -> str:
    """Quote a table or column name, with its database if it names one.

    >>> identifier("oriel.events")
    '`oriel`.`events`'

    Raises:
        InvalidArgumentError: It is not a plain name.
    """
    parts = name.split(".")
    if len(parts) > 2 or not all(_IDENTIFIER.fullmatch(part) for part in parts):
        raise InvalidArgumentError(
            f"{name!r} is not a name; use letters, digits and underscores.",
            reason="BAD_NAME",
            name=name,
        )
    return ".".join(f"`{part}`" for part in parts)


def fit(rows: pa.Table, schema: pa.Schema, table: str) -> pa.Table:
    """Cast rows to a table's columns without losing anything.

    Args:
        rows: What is to be stored.
        schema: The table's columns; a field that is not nullable takes no nulls.
        table: Its name, for messages.

    Raises:
        InvalidArgumentError: A column is unknown or repeated, or a value does not fit.
    """
    names = rows.column_names
    for name in names:
        if name not in schema.names:
            near = difflib.get_close_matches(name, schema.names, n=1, cutoff=0.0)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise _refused("UNKNOWN_COLUMN", table, name, f"is not in the table{hint}")
        if names.count(name) > 1:
            raise _refused("REPEATED_COLUMN", table, name, "is given more than once")
    columns = [_fitted(rows.column(name), schema.field(name), table) for name in names]
    return pa.table(columns, schema=pa.schema([schema.field(name) for name in names]))


def blocks(rows: pa.Table) -> Iterator[pa.Table]:
    """Cut rows into blocks of at most `BLOCK_ROWS`."""
    for start in range(0, rows.num_rows, BLOCK_ROWS):
        yield rows.slice(start, BLOCK_ROWS)


def rebatched(batches: Iterable[pa.RecordBatch], max_rows: int) -> Iterator[pa.RecordBatch]:
    """Join and cut batches so that all but the last have exactly `max_rows`; none stay empty."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        start = 0
        while count + batch.num_rows - start >= max_rows:
            end = start + max_rows - count
            waiting.append(batch.slice(start, end - start))
            yield _joined(waiting)
            waiting, count, start = [], 0, end
        if start < batch.num_rows:
            waiting.append(batch.slice(start))
            count += batch.num_rows - start
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _fitted(column: pa.ChunkedArray, field: pa.Field, table: str) -> pa.ChunkedArray:
    if not field.nullable and column.null_count:
        raise _refused("NULL_VALUE", table, field.name, "has nulls and the table takes none")
    if pa.types.is_timestamp(field.type) and pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            raise _refused("NAIVE_TIME", table, field.name, "has times without a time zone")
        if column.type == field.type:
            return column
    # A String of ClickHouse is bytes: text in a wrong encoding has to come back as it was.
    options = pc.CastOptions(field.type, allow_invalid_utf8=True)
    try:
        fitted = column.cast(options=options)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        what = f"is {column.type} and does not fit {field.type}: {error}"
        raise _refused("BAD_COLUMN", table, field.name, what) from error
    if _has_nested_nulls(fitted):
        raise _refused("NULL_VALUE", table, field.name, "has nulls inside its lists")
    return fitted


def _has_nested_nulls(column: pa.ChunkedArray) -> bool:
    if pa.types.is_map(column.type):
        return any(
            chunk.keys.null_count or chunk.items.null_count
            for chunk in column.chunks
            if not column.type.item_field.nullable
        )
    if pa.types.is_list(column.type) and not column.type.value_field.nullable:
        return any(chunk.flatten().null_count for chunk in column.chunks)
    return False


def _refused(reason: str, table: str, column: str, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"Column {column!r} of {table} {what}.", reason=reason, table=table, column=column
    )
