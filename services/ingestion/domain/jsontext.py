"""JSON text out of columns, without a step for each row."""

from collections.abc import Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc


def json_values(column: pa.Array) -> pa.Array:
    """Return each value as JSON text; null stays null."""
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    coded = column if pa.types.is_dictionary(kind) else column.dictionary_encode()
    distinct = coded.dictionary
    if not pa.types.is_string(distinct.type) and not pa.types.is_floating(distinct.type):
        distinct = distinct.cast(pa.string())
    texts = [None if v is None else orjson.dumps(v).decode() for v in distinct.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def json_objects(names: Sequence[str], values: Sequence[pa.Array], length: int) -> pa.Array:
    """Return one JSON object a row out of columns of JSON texts; nulls are left out.

    >>> json_objects(["a", "b"], [pa.array(["1", None]), pa.array(['"x"', '"y"'])], 2).to_pylist()
    ['{"a":1,"b":"x"}', '{"b":"y"}']
    """
    if not names:
        return pa.array([""] * length, pa.string()) if length < 1 else _repeated("", length)
    parts = [
        pc.binary_join_element_wise(
            pa.scalar("," + orjson.dumps(name).decode() + ":"), column, "",
            null_handling="emit_null",
        )
        for name, column in zip(names, values, strict=True)
    ]  # fmt: skip
    joined = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
    body = pc.utf8_slice_codeunits(joined, 1)
    whole = pc.binary_join_element_wise("{", body, "}", "")
    return pc.if_else(pc.equal(body, ""), pa.scalar(""), whole)


def _repeated(text: str, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), length)
