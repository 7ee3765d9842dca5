"""The rows of Parquet and CSV files."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from services.feature.domain.table_errors import unreadable
from shared.errors import InvalidArgumentError, NotFoundError

_SUFFIXES = (".parquet", ".csv")


class TableFile:
    """A Parquet or CSV file, or all of those in a folder, which must have the same columns.

    In a folder the files whose names begin with "test" hold rows that are judged on only.

    Args:
        path: Absolute.

    Raises:
        InvalidArgumentError: The path is relative.
        NotFoundError: There is no such file, or no table in the folder.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_absolute():
            raise InvalidArgumentError(
                f"source: {path} is relative; send an absolute path",
                reason="TABLE_PATH_RELATIVE",
                path=path,
            )
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [file for file in inside if file.suffix in _SUFFIXES and file.is_file()]
        self._test = [file for file in files if path.is_dir() and file.name.startswith("test")]
        fitted = [file for file in files if file not in self._test]
        self._files = [*fitted, *self._test]
        if not fitted:
            raise NotFoundError(
                f"source: {path} is and holds no .parquet or .csv file to fit to; name the folder "
                "above it with --data",
                reason="TABLE_NOT_FOUND",
                path=path,
            )

    def digests(self) -> dict[str, str]:
        """SHA-256 of each file by its name."""
        found = {}
        for file in self._files:
            with file.open("rb") as stream:
                found[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
        return found

    def read(self) -> tuple[pa.Table, int]:
        """All rows, files by name, those of test files last; and how many these are.

        Raises:
            InvalidArgumentError: A file cannot be read, or has other columns than the first.
        """
        tables = [_read(file) for file in self._files]
        first = tables[0].column_names
        for file, table in zip(self._files, tables, strict=True):
            if table.column_names != first:
                other = sorted(set(table.column_names) ^ set(first)) or ["their order"]
                raise unreadable(
                    file.name, other[0], f"columns differ from those of {self._files[0].name}"
                )
        judged = sum(table.num_rows for table in tables[len(tables) - len(self._test) :])
        return pa.concat_tables(tables, promote_options="permissive"), judged


def _read(file: Path) -> pa.Table:
    try:
        return pq.read_table(file) if file.suffix == ".parquet" else pv.read_csv(file)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file.name, "", f"cannot be read: {error}") from error
