"""The pages on ingestion say what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from services.ingestion.adapters.builtin import builtin_mappings
from services.ingestion.domain.mapping import ROLES, Limits
from services.ingestion.domain.mapping_text import KEYS, parse_mapping
from services.ingestion.domain.reasons import Reason

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"


def table_words(page: str, heading: str) -> set[str]:
    """Words in code style in the first column of the table under a heading."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    section = text.split(heading, 1)[1].split("\n## ", 1)[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {word for first in firsts for word in re.findall(r"`([^`]+)`", first)}


def test_every_reason_is_listed_with_its_words():
    page = (REFERENCE / "rejections.md").read_text(encoding="utf-8")
    for reason in Reason:
        assert f"| `{reason.name}` | {reason.value} |" in page
    assert table_words("rejections.md", "# Rejections") == {reason.name for reason in Reason}


def test_every_key_of_a_mapping_is_listed():
    limits = {f"limits.{each.name}" for each in fields(Limits)}
    assert table_words("mappings.md", "## Keys") == {*KEYS, *limits} - {"limits"}


def test_every_meaning_of_a_column_is_listed():
    page = (REFERENCE / "mappings.md").read_text(encoding="utf-8")
    for kind, roles in ROLES.items():
        [row] = re.findall(rf"^\| `{kind.value}` \| (?:needs|`.*) .*$", page, re.M) or [""]
        assert {role.value for role in roles} <= set(re.findall(r"`(\w+)`", row)), kind


def test_every_built_in_mapping_is_listed():
    assert table_words("mappings.md", "# Mapping files") == set(builtin_mappings())


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_every_mapping_on_a_page_is_valid(page):
    for block in re.findall(r"```yaml\n(kind:.*?)```", page.read_text(encoding="utf-8"), re.S):
        parse_mapping(block, page.name)
