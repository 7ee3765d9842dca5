"""The repository keeps the promises it makes about itself."""

import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("app", "benchmarks", "pipelines", "scripts", "services", "shared")


def modules() -> list[Path]:
    """Our own modules: neither tests nor generated stubs nor peers' environments."""
    return [
        path
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if not {"gen", "peers"} & set(path.relative_to(ROOT).parts)
    ]


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_module_is_over_400_lines_and_the_median_is_at_most_150():
    counts = {path: line_count(path) for path in modules()}
    assert [str(path) for path, count in counts.items() if count > 400] == []
    assert statistics.median(count for count in counts.values() if count > 1) <= 150


def test_the_stubs_are_fresh():
    script = ROOT / "scripts" / "gen_protos.py"
    check = subprocess.run(
        [sys.executable, str(script), "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert check.returncode == 0, check.stderr


def readme_map() -> list[str]:
    """Lines of the map of the repository in the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## Map\n+```text\n(.*?)```", readme, re.DOTALL)
    assert block, "README.md has a section 'Map' with one text block"
    return block.group(1).strip().splitlines()


def test_the_readme_map_has_at_most_twelve_lines():
    assert 0 < len(readme_map()) <= 12


@pytest.mark.parametrize("line", readme_map())
def test_every_path_of_the_readme_map_exists(line):
    for path in line.split("  ")[0].split():
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"])
def test_every_relative_link_of_the_docs_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_changelog_has_a_place_for_what_comes_next():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
