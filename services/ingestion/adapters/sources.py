"""Opens files: finds out what they are and which mapping reads them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

from services.ingestion.adapters.blocks import first_bytes, unreadable
from services.ingestion.adapters.builtin import builtin_mappings
from services.ingestion.adapters.csv_records import Dialect
from services.ingestion.adapters.csv_source import CsvSource, reread_records
from services.ingestion.adapters.json_source import JsonSource, read_objects
from services.ingestion.adapters.parquet_source import ParquetSource
from services.ingestion.domain.batch import Batch
from services.ingestion.domain.detect import check_columns, detect
from services.ingestion.domain.mapping import Mapping, SourceKind
from services.ingestion.domain.mapping_text import parse_mapping
from services.ingestion.domain.strictness import nearest
from services.ingestion.usecases.ports import Letter, Source
from shared.errors import InvalidArgumentError

_PARQUET = b"PAR1"
_LOOKED_AT_BYTES = 4096


class FileSources:
    """The `Sources` of a machine: files that this process can read."""

    def __init__(self) -> None:
        self._builtins = builtin_mappings()

    def open(self, uri: str, mapping: str, source: str = "") -> Source:
        """See `Sources.open`."""
        path = _path(uri)
        chosen = self.mapping(mapping, source) if mapping else None
        opened = _opened(path, chosen)
        if chosen is None:
            builtins = tuple(self._builtins.values())
            has_objects = opened.has_objects
            chosen = detect(builtins, opened.columns, str(path), has_objects=has_objects)
            chosen = replace(chosen, source=source or chosen.source)
        check_columns(chosen, opened.columns, str(path))
        if chosen.kind is SourceKind.SEGMENT and isinstance(opened, CsvSource):
            raise unreadable(path, "Segment events come as JSON lines, and this is CSV")
        return opened.bound_to(chosen, chosen.text if mapping and chosen.text else chosen.name)

    def mapping(self, mapping: str, source: str = "") -> Mapping:
        """See `Sources.mapping`."""
        found = self._builtins.get(mapping)
        if found is None and "\n" not in mapping and ":" not in mapping:
            hint = nearest(mapping, self._builtins)
            raise InvalidArgumentError(
                f"there is no built-in mapping {mapping!r}; did you mean {hint!r}? Built in: "
                f"{', '.join(self._builtins)}. Else give the text of a mapping file",
                reason="UNKNOWN_MAPPING",
                mapping=mapping,
                nearest=hint,
            )
        found = found or parse_mapping(mapping)
        return replace(found, source=source or found.source)

    def reread(self, letters: Sequence[Letter], mapping: Mapping) -> Batch:
        """See `Sources.reread`."""
        payloads = [letter.payload for letter in letters]
        layout = letters[0].layout
        if layout.format == "csv":
            dialect = Dialect(
                layout.columns, layout.delimiter, mapping.encoding, mapping.limits.field_bytes
            )
            return reread_records(payloads, dialect)
        return read_objects(payloads, mapping)


def _opened(path: Path, mapping: Mapping | None) -> CsvSource | JsonSource | ParquetSource:
    start = first_bytes(path, _LOOKED_AT_BYTES)
    text = start.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise InvalidArgumentError(
            f"{path} is empty; nothing was imported", reason="EMPTY_FILE", uri=path
        )
    if start.startswith(_PARQUET):
        return ParquetSource(path)
    if text.startswith(b"["):
        raise unreadable(path, "it is one JSON list; write one object a line (JSONL)")
    if text.startswith(b"{") or ".jsonl" in path.name or ".ndjson" in path.name:
        return JsonSource(path)
    encoding = mapping.encoding if mapping else "utf-8"
    return CsvSource(path, mapping.delimiter if mapping else None, encoding)


def _path(uri: str) -> Path:
    parts = urlparse(uri)
    if parts.scheme not in ("", "file") and not Path(uri).exists():
        raise InvalidArgumentError(
            f"{uri} is not on this machine; copy it here first", reason="FILE_NOT_FOUND", uri=uri
        )
    path = Path(unquote(parts.path)) if parts.scheme == "file" else Path(uri)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise InvalidArgumentError(
            f"{path} {what}; check the path, which the server must be able to read",
            reason="FILE_NOT_FOUND",
            uri=uri,
        )
    return path
