"""The part of the report on discovered segments says what the segments say, and adds up."""

from dataclasses import replace

import pytest

from pipelines.report import write_report
from pipelines.report.discovered import block_of


@pytest.fixture(scope="module")
def block(inputs):
    return block_of(inputs)


def test_shares_of_segments_sum_to_one(block):
    for share in ("customer_share", "spend_share", "value_share"):
        assert sum(getattr(row.profile, share) for row in block.rows) == pytest.approx(1)


def test_moves_sum_to_the_customers_known_at_both_times(inputs, block):
    known = int((inputs.segments.previous >= 0).sum())
    assert sum(row.total for row in block.moves) == sum(block.totals) == known
    for row in block.moves:
        assert sum(customers for customers, _ in row.cells) == row.total
    for place, total in enumerate(block.totals):
        assert sum(row.cells[place][0] for row in block.moves) == total


def test_the_darkest_cell_of_a_row_holds_its_most_customers(block):
    for row in block.moves:
        assert max(row.cells) == max(row.cells, key=lambda cell: cell[1])
        assert all(0 <= shade <= 0.55 for _, shade in row.cells)


def test_sentences_name_the_most_valuable_the_new_and_the_gone(block):
    text = " ".join(block.sentences)
    best = max(block.rows, key=lambda row: row.profile.value)
    assert f"most valuable, “{best.name}”" in text
    assert "New since the last fit: “Lapsed one-time buyers”." in text
    assert "No longer found: “New small baskets”." in text


def test_a_report_without_segments_says_nothing_of_them(inputs, tmp_path):
    bare = write_report(replace(inputs, segments=None), tmp_path)
    html = bare.report_path.read_text(encoding="utf-8")
    assert "Discovered segments" not in html
    assert 'href="#discovered"' not in html
