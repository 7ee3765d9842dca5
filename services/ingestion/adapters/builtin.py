"""The mappings that ship with Oriel."""

from collections.abc import Mapping as MappingOf
from importlib.resources import files

from services.ingestion.domain.mapping import Mapping
from services.ingestion.domain.mapping_text import parse_mapping


def builtin_mappings() -> MappingOf[str, Mapping]:
    """Return the built-in mappings by name."""
    folder = files("services.ingestion") / "mappings"
    found = [
        parse_mapping(entry.read_text(encoding="utf-8"), entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    ]
    return {mapping.name: mapping for mapping in sorted(found, key=lambda each: each.name)}
