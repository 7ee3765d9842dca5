"""JSON text out of columns, without a step for each row."""

from collections.abc import Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc


def json_values(column: pa.Array) -> pa.Array:
    """Return each value as JSON text; null, infinite and not-a-number are null.

    >>> json_values(pa.array([1.5, float("nan")])).to_pylist()
    ['1.5', None]
    """
    kind = column.type
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        return finite.cast(pa.string())
    coded = column if pa.types.is_dictionary(kind) else column.dictionary_encode()
    distinct = coded.dictionary
    if not pa.types.is_string(distinct.type):
        distinct = distinct.cast(pa.string())
    texts = [None if v is None else orjson.dumps(v).decode() for v in distinct.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def json_objects(names: Sequence[str], values: Sequence[pa.Array], length: int) -> pa.Array:
    """Return one JSON object a row out of columns of JSON texts.

    Nulls are left out; a row of nulls is empty text.

    >>> json_objects(["a", "b"], [pa.array(["1", None]), pa.array(['"x"', '"y"'])], 2).to_pylist()
    ['{"a":1,"b":"x"}', '{"b":"y"}']
    """
    if not names:
        return pa.repeat(pa.scalar(""), length)
    keys = [orjson.dumps(name).decode() + ":" for name in names]
    if len(names) == 1:
        one = pc.binary_join_element_wise(pa.scalar("{" + keys[0]), values[0], "}", "")
        return pc.fill_null(one, "")
    parts = [
        pc.binary_join_element_wise(pa.scalar("," + key), column, "")
        for key, column in zip(keys, values, strict=True)
    ]
    joined = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
    opened = pc.binary_replace_slice(joined, 0, 1, "{")  # in place of the first comma
    whole = pc.binary_join_element_wise(opened, "}", "")
    return pc.if_else(pc.equal(pc.binary_length(joined), 0), pa.scalar(""), whole)
