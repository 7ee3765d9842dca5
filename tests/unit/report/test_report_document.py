"""The report is one page that needs nothing else, reads well aloud, and is always the same."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines.report import write_report

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "golden" / "report"
VOID = {"meta", "link", "br", "hr", "img", "input"}
OTHER_PROCESS = """
import sys, hashlib, pathlib
sys.path.insert(0, sys.argv[1])
from conftest import shop_inputs
from pipelines.report import write_report
files = write_report(shop_inputs(), pathlib.Path(sys.argv[2]))
for path in (files.report_path, files.contacts_path):
    print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


class Document(HTMLParser):
    """Elements with their attributes, and the text outside of drawings and style."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.lines = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and not {"svg", "style"} & set(self.open):
            self.lines.append(" ".join(data.split()))

    def all(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]


@pytest.fixture(scope="module")
def files(inputs, tmp_path_factory):
    return write_report(inputs, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def html(files):
    return files.report_path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document(html):
    document = Document(html)
    assert document.open == []
    return document


def digests(files):
    return [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (files.report_path, files.contacts_path)
    ]


def test_another_process_in_another_place_writes_the_same_bytes(files, tmp_path):
    environment = os.environ | {"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "77"}
    run = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(HERE), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=HERE.parents[2],
        env=environment,
    )
    assert run.stdout.split() == digests(files)


def test_neither_pseudonyms_nor_row_order_show(files, make_inputs, tmp_path):
    other = make_inputs(offset=987654321)
    shuffled = np.random.default_rng(1).permutation(other.predictions.num_rows)
    other = replace(other, predictions=other.predictions.take(shuffled))
    assert digests(write_report(other, tmp_path)) == digests(files)


def test_writing_again_replaces_both_files_and_leaves_nothing_else(inputs, tmp_path):
    first = write_report(inputs, tmp_path)
    before = digests(first)
    assert digests(write_report(inputs, tmp_path)) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["contacts.csv", "report.html"]


def test_report_asks_the_network_for_nothing(html, document):
    assert "default-src 'none'" in html
    for tag, attributes, _ in document.elements:
        assert tag not in {"script", "link", "iframe", "img"}
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attributes.get(name, "#").startswith("#")
    assert "@import" not in html
    assert set(re.findall(r"url\(([^)#]*)", html)) <= {""}


def test_report_is_light(files):
    assert files.report_path.stat().st_size < 1_000_000


def test_ids_are_unique_and_every_link_and_label_finds_its_mark(document):
    ids = [a["id"] for tag, a, inside in document.elements if "id" in a and "svg" not in inside]
    assert len(ids) == len(set(ids))
    for attributes in document.all("a"):
        assert attributes["href"][1:] in ids
    for _, attributes, _ in document.elements:
        assert attributes.get("aria-labelledby", ids[0]) in ids


def test_ids_inside_one_drawing_do_not_cut_another(html):
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_headings_step_down_one_level_at_a_time(document):
    levels = [int(tag[1]) for tag, _, _ in document.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_chart_has_a_text_and_every_table_a_caption(document):
    charts = [a for tag, a, inside in document.elements if tag == "svg" and "figure" in inside]
    assert len(charts) == 14
    assert all(a["role"] == "img" and len(a["aria-label"]) > 30 for a in charts)
    tables = document.all("table")
    assert len(tables) == len(document.all("caption")) >= 8
    assert all(a.get("scope") in {"row", "col"} for a in document.all("th"))


def test_a_simulated_shop_is_called_so_and_a_real_one_is_not(html, short_inputs, tmp_path):
    assert "Simulated shop." in html
    assert "simulator; none is real" in html
    real = write_report(replace(short_inputs, source="order_lines"), tmp_path)
    assert "imulat" not in real.report_path.read_text(encoding="utf-8")


def test_an_id_cannot_put_markup_into_the_report(inputs, tmp_path):
    ids = {key: f'<script>alert("{key}")</script>' for key in inputs.source_ids}
    html = write_report(replace(inputs, source_ids=ids), tmp_path).report_path.read_text("utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_less_than_a_year_of_history_is_said_plainly(short_inputs, tmp_path):
    html = write_report(short_inputs, tmp_path).report_path.read_text("utf-8")
    assert "no season can be learned" in html
    assert "Same days last year" not in html


def test_an_evaluation_that_holds_nothing_still_makes_a_report(inputs, tmp_path):
    bare = replace(
        inputs,
        evaluation={},
        last_window=None,
        year_ago_window=None,
        totals=replace(inputs.totals, months=(), first_event_time=None, last_event_time=None),
    )
    text = write_report(bare, tmp_path).report_path.read_text("utf-8")
    assert "measured no quality" in text
    assert "nan" not in " ".join(Document(text).lines).lower().split()


def test_a_shop_where_nobody_has_ordered_still_makes_a_report(inputs, tmp_path):
    nobody = pa.array([False] * inputs.predictions.num_rows)
    at = inputs.predictions.column_names.index("eligible")
    predictions = inputs.predictions.set_column(at, "eligible", nobody)
    files = write_report(replace(inputs, predictions=predictions), tmp_path)
    text = " ".join(Document(files.report_path.read_text("utf-8")).lines)
    assert "0 of 0 customers" in text
    assert "nan" not in text.lower().split()
    assert files.contacts_path.read_text("utf-8").count("\n") == 1


def test_texts_and_figures_are_those_reviewed(make_inputs, tmp_path):
    files = write_report(make_inputs(users=60, seed=5), tmp_path)
    document = Document(files.report_path.read_text(encoding="utf-8"))
    labels = [a["aria-label"] for a in document.all("svg") if "aria-label" in a]
    found = {
        "report.txt": "\n".join([*document.lines, *dict.fromkeys(labels)]) + "\n",
        "contacts.csv": files.contacts_path.read_text(encoding="utf-8"),
    }
    if os.environ.get("ORIEL_GOLDEN") == "write":
        for name, text in found.items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
    for name, text in found.items():
        assert text == (GOLDEN / name).read_text(encoding="utf-8"), (
            f"{name} changed; run with ORIEL_GOLDEN=write and review the difference"
        )
