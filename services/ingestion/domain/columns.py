"""The columns of a table under the names that a mapping gives them."""

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.detect import bind
from services.ingestion.domain.mapping import Mapping, Role

_ROW_NUMBERS = ("", "Unnamed: 0", "__index_level_0__")
_PART, _NAME_END = "\x1f", "="


class Bound:
    """A table read through a mapping; missing columns are all null or all default."""

    def __init__(self, table: pa.Table, mapping: Mapping) -> None:
        self._table, self._mapping = table, mapping
        self._names = bind(mapping, table.column_names)
        self._nulls = pa.array([text for text in mapping.null_values if text], pa.string())
        self._read: dict[str, pa.Array] = {}

    def has(self, role: Role) -> bool:
        """Say whether the file has a column for a role, or the mapping a default."""
        column = self._mapping.columns.get(role)
        return role in self._names or (column is not None and column.default is not None)

    def column(self, role: Role) -> pa.Array:
        """Return the values of a role, as the file types them."""
        column = self._mapping.columns.get(role)
        default = column.default if column else None
        if role not in self._names:
            return pa.repeat(pa.scalar(default, pa.string()), self._table.num_rows)
        values = self.raw(self._names[role])
        if default is None or not values.null_count:
            return values
        if not pa.types.is_string(values.type):
            values = values.cast(pa.string())
        return pc.fill_null(values, default)

    def text(self, role: Role) -> pa.Array:
        """Return the values of a role as text."""
        values = self.column(role)
        return values if pa.types.is_string(values.type) else values.cast(pa.string())

    def raw(self, name: str) -> pa.Array:
        """Return a column of the file as one array, texts that mean nothing as null."""
        if name not in self._read:
            self._read[name] = self._without_nulls(one_array(self._table.column(name)))
        return self._read[name]

    def others(self) -> list[str]:
        """Return the names of the columns that no role takes; row numbers are not data."""
        taken = set(self._names.values())
        names = self._table.column_names
        return [name for name in names if name not in taken and name not in _ROW_NUMBERS]

    def name_of(self, role: Role) -> str:
        """Return what the file calls a role."""
        return self._names.get(role, role.value)

    def fields(self, columns: MappingOf[Role, str]) -> dict[str, str]:
        """Return what the file calls some columns, by other names of the columns."""
        return {name: self.name_of(role) for role, name in columns.items()}

    def canonical(self, places: pa.Array) -> pa.Array:
        """Return a text of rows that is equal for equal rows, whatever the order of columns."""
        return canonical_texts(
            [
                (name, self.raw(name).take(places))
                for name in sorted(self._table.column_names)
                if name not in _ROW_NUMBERS
            ]
        )

    def _without_nulls(self, values: pa.Array) -> pa.Array:
        if not pa.types.is_string(values.type):
            return values
        is_nothing = pc.equal(pc.binary_length(values), 0)
        if len(self._nulls):
            is_nothing = pc.or_(is_nothing, pc.is_in(values, self._nulls))
        if not pc.any(is_nothing).as_py():
            return values
        return pc.if_else(is_nothing, pa.scalar(None, pa.string()), values)


def canonical_texts(columns: Sequence[tuple[str, pa.Array]]) -> pa.Array:
    """Join named columns to one text a row; null and absent columns leave no trace.

    >>> a = canonical_texts([("a", pa.array(["1"])), ("b", pa.array([None], pa.string()))])
    >>> a == canonical_texts([("a", pa.array(["1"]))])
    True
    """
    parts = []
    for name, values in columns:
        if values.null_count == len(values):
            continue
        texts = values if pa.types.is_string(values.type) else values.cast(pa.string())
        prefix = pa.scalar(name + _NAME_END)
        parts.append(
            pc.binary_join_element_wise(prefix, texts, _PART, "", null_handling="emit_null")
        )
    if not parts:
        return pa.repeat(pa.scalar(""), len(columns[0][1]) if columns else 0)
    return pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array with 32-bit text and without dictionaries."""
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        combined = pa.concat_arrays(combined.chunks) if combined.num_chunks else combined.chunk(0)
    if pa.types.is_dictionary(combined.type):
        combined = combined.dictionary_decode()
    if pa.types.is_large_string(combined.type) or pa.types.is_string_view(combined.type):
        combined = combined.cast(pa.string())
    return combined
