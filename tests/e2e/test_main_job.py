"""The main job as people run it: events in, predictions and a report out, exit codes on the way."""

import csv
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.faults import job_options, kill_and_restart, outcome_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REPOSITORY = Path(__file__).resolve().parents[2]
USERS = 120
SEED = 1
"""Of the moments at which the job is killed."""


def oriel(*arguments):
    """Run a command to its end; return the exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.quick_oriel", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=560,
    )
    return done.returncode, done.stdout, done.stderr


def rows_of(out):
    with (out / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """Run the job on a small simulated shop; return the folder, what was printed, and seconds."""
    out = tmp_path_factory.mktemp("main-job") / "shop"
    started = time.monotonic()
    code, printed, err = oriel("run", "--users", USERS, "--out", out)
    assert code == 0, err
    return out, printed, time.monotonic() - started


@pytest.fixture(scope="module")
def finished(timed):
    """The folder of that run and what was printed."""
    return timed[:2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    home = tmp_path_factory.mktemp("rejects") / "home"
    assert oriel("--home", home, "init")[0] == 0
    return home


def test_the_results_lie_where_the_summary_says(finished):
    out, printed = finished
    assert {entry.name for entry in out.iterdir()} == {
        "contacts.csv",
        "events.jsonl",
        "next_order.csv",
        "next_products.csv",
        "predictions.csv",
        "report.html",
        "segments.csv",
        "summary.json",
        "workspace",
    }
    assert str(out / "report.html") in printed
    assert "Try next:" in printed


def test_every_customer_known_has_one_row(finished):
    out, _ = finished
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    known = {event["userId"] for event in events if "userId" in event}
    users = [row["user"] for row in rows_of(out)]
    assert users == sorted(known)


def test_every_customer_is_named_products_and_new_ones_apart(finished):
    out, _ = finished
    with (out / "next_products.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["user"] for row in rows] == [row["user"] for row in rows_of(out)]
    events = map(json.loads, (out / "events.jsonl").read_text().splitlines())
    orders = [event for event in events if event.get("event") == "Order Completed"]
    owned = {}
    for order in orders:
        ids = {product["product_id"] for product in order["properties"]["products"]}
        owned.setdefault(order.get("userId"), set()).update(ids)
    for row in rows:
        new = [row[f"n{place}"] for place in range(1, 11) if row[f"n{place}"]]
        assert not owned.get(row["user"], set()) & set(new)
        assert len(set(new)) == len(new)
    assert sum(bool(row["r1"]) for row in rows) == len(rows)


def test_when_each_customer_orders_next_agrees_with_whether(finished):
    out, _ = finished
    with (out / "next_order.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["user"] for row in rows] == [row["user"] for row in rows_of(out)]
    for row, said in zip(rows, rows_of(out), strict=True):
        by = [float(row[f"p_order_{days}d"]) for days in (30, 60, 90)]
        assert 0 <= by[0] <= by[1] <= by[2] <= 1
        assert by[2] == pytest.approx(float(said["p_active"]), abs=2e-6)
        days = [float(row[name] or 99) for name in ("days_low", "next_order_days", "days_high")]
        assert 0 < days[0] <= days[1] <= days[2]
        assert bool(row["next_order_days"]) == (by[2] >= 0.5)
        assert row["eligible"] == "true" or not row["raises"] + row["lowers"]
    assert any(row["raises"] for row in rows)


def test_every_customer_is_in_a_named_segment_and_moves_add_up(finished):
    out, _ = finished
    with (out / "segments.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    told = json.loads((out / "summary.json").read_text())["segments"]
    assert [row["user"] for row in rows] == [row["user"] for row in rows_of(out)]
    for row, said in zip(rows, rows_of(out), strict=True):
        assert (row["segment"] == "0") == (said["eligible"] == "false")
    names = {(row["segment"], row["name"]) for row in rows if row["segment"] != "0"}
    sizes = {str(each["segment"]): each["customers"] for each in told["segments"]}
    assert names == {(str(each["segment"]), each["name"]) for each in told["segments"]}
    assert len({name for _, name in names}) == len(names) >= 3
    assert sizes == {key: sum(row["segment"] == key for row in rows) for key in sizes}
    known = [row for row in rows if row["previous"]]
    assert 0 < len(known) == told["known_in_both_periods"] <= len(rows)
    assert sum(row["segment"] == row["previous"] for row in known) == told["stayed"]
    assert {row["previous"] for row in known} <= {"0", *sizes}
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(name in report for _, name in names)


def test_rows_hold_coherent_probabilities_and_money(finished):
    out, _ = finished
    for row in rows_of(out):
        segments = [float(row[f"p{number}"]) for number in range(4)]
        assert sum(segments) == pytest.approx(1, abs=4e-6)
        assert segments[0] == pytest.approx(1 - float(row["p_active"]), abs=2e-6)
        assert all(0 <= value <= 1 for value in segments)
        assert float(row["spend"]) >= 0
        assert row["eligible"] in ("true", "false")
        assert bool(row["reason"]) == (row["eligible"] == "false")


def test_customers_who_never_ordered_share_the_base_rate(finished):
    out, _ = finished
    rates = {row["p_active"] for row in rows_of(out) if row["eligible"] == "false"}
    assert len(rates) == 1


def test_the_totals_are_those_of_the_events(finished):
    out, _ = finished
    lines = (out / "events.jsonl").read_text().splitlines()
    orders = [
        event["properties"]
        for event in map(json.loads, lines)
        if event.get("event") == "Order Completed"
    ]
    totals = json.loads((out / "summary.json").read_text())["totals"]
    assert totals["events"] == len(lines)
    assert totals["orders"] == len({order["order_id"] for order in orders})
    assert totals["gross_micros"] == sum(round(order["revenue"] * 100) * 10_000 for order in orders)
    assert totals["rejected"] == 0


def test_the_same_command_again_gives_the_same_bytes(finished):
    out, _ = finished
    names = (
        "report.html",
        "predictions.csv",
        "next_order.csv",
        "next_products.csv",
        "segments.csv",
        "contacts.csv",
        "summary.json",
    )
    before = {name: (out / name).read_bytes() for name in names}
    code, _, err = oriel("run", "--users", USERS, "--out", out)
    assert code == 0, err
    assert {name: (out / name).read_bytes() for name in names} == before


def test_a_job_killed_three_times_ends_as_if_nothing_had_happened(timed, tmp_path):
    out, _, seconds = timed
    rng = random.Random(SEED)
    moments = [rng.uniform(0.02, 0.98) * seconds for _ in range(3)]
    trial = kill_and_restart(tmp_path / "killed", job_options(USERS), moments)
    assert trial.outcome == outcome_of(out), trial


def test_one_customer_asked_for_is_told_what_the_file_says(finished):
    out, _ = finished
    row = next(row for row in rows_of(out) if row["eligible"] == "true")
    code, printed, err = oriel(
        "--home", out / "workspace", "predict", row["user"], "nobody", "--json"
    )
    assert code == 0, err
    told, unknown = map(json.loads, printed.splitlines())
    assert told["user"] == row["user"]
    assert told["p_active"] == pytest.approx(float(row["p_active"]), abs=2e-6)
    assert told["spend"] == pytest.approx(float(row["spend"]), abs=2e-3)
    assert told["reasons"]
    assert unknown["status"] == "unknown user"


def test_no_trace_of_a_traceback_reaches_people(finished):
    _, printed = finished
    assert "Traceback" not in printed


GOOD = "invoice,stock_code,quantity,timestamp,unit_price,customer_id"


def csv_file(folder, name, *lines):
    file = folder / name
    file.write_text("\n".join((GOOD, *lines)) + "\n")
    return file


def test_broken_rows_are_kept_and_good_ones_stored(workspace, tmp_path):
    file = csv_file(
        tmp_path,
        "orders.csv",
        "1,A,2,2025-01-01 10:00,1.50,c1",
        "2,B,two,2025-01-02 10:00,1.50,c1",
        "3,C,1,2025-01-03 10:00,-4,c2",
        "4,D,1,yesterday,4,c2",
    )
    code, printed, err = oriel("--home", workspace, "ingest", file)
    assert code == 4, err
    assert "oriel rejects" in err
    code, printed, err = oriel("--home", workspace, "rejects", "--json")
    assert code == 0, err
    found = {(each["reason"], each["field"]) for each in map(json.loads, printed.splitlines())}
    assert ("NEGATIVE_PRICE", "unit_price") in found
    assert ("BAD_TIMESTAMP", "timestamp") in found
    assert len(found) == 3


def test_the_same_file_again_adds_nothing(workspace, tmp_path):
    file = csv_file(tmp_path, "again.csv", "7,A,1,2025-02-01 10:00,1.50,c1")
    assert oriel("--home", workspace, "ingest", file)[0] == 0
    code, printed, _ = oriel("--home", workspace, "ingest", file)
    assert code == 0
    stored = {line[:13].strip(): line.split()[-1] for line in printed.splitlines()}
    assert stored["rows stored"] == "0"
    assert stored["stored before"] == "1"


@pytest.mark.parametrize("text", ["", "colour,shape\nred,round\n"])
def test_a_file_that_is_empty_or_has_other_columns_is_a_usage_error(workspace, tmp_path, text):
    file = tmp_path / "wrong.csv"
    file.write_text(text)
    code, _, err = oriel("--home", workspace, "ingest", file)
    assert code == 2, err
    assert "error: " in err
    assert "try: " in err
    assert "Traceback" not in err


def test_a_dry_run_needs_no_workspace_and_stores_nothing(tmp_path):
    file = csv_file(tmp_path, "dry.csv", "1,A,2,2025-01-01 10:00,1.50,c1")
    code, printed, err = oriel("--home", tmp_path / "none", "ingest", file, "--dry-run")
    assert code == 0, err
    assert "order_lines" in printed
    assert not (tmp_path / "none").exists()


def test_too_little_data_is_a_precondition_that_names_the_rule(tmp_path):
    file = csv_file(tmp_path, "few.csv", "1,A,2,2025-01-01 10:00,1.50,c1")
    code, _, err = oriel("run", "--events", file, "--out", tmp_path / "out")
    assert code == 3, err
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "summary.json").exists()
