"""How a fault in a table is told."""

from shared.errors import InvalidArgumentError


def unreadable(
    place: str, column: str, problem: str, row: int | None = None
) -> InvalidArgumentError:
    """Return the error for one place in a table.

    >>> unreadable("contacts.parquet", "y", "is missing", 4).message
    'contacts.parquet, row 4, y: is missing'
    """
    parts = (place, "" if row is None else f"row {row}", column)
    where = ", ".join(part for part in parts if part)
    return InvalidArgumentError(
        f"{where}: {problem}",
        reason="TABLE_UNREADABLE",
        file=place,
        row="" if row is None else row,
        field=column,
    )
