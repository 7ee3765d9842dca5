"""predictions.csv has a row a customer, stable numbers, and no contact data unless asked for."""

import pyarrow as pa
import pytest

from pipelines.main_job_publish import publish, staging
from pipelines.main_job_rows import is_contact, predictions_csv, shown_id

WHY = (
    '[{"feature":"a","text":"orders often","contribution":1.5},'
    '{"feature":"b","text":"quiet for long","contribution":-1.0},'
    '{"feature":"c","text":"spends much","contribution":0.5}]'
)
SAID = "0.250000,1.2346,0.750000,0.125000,0.062500,0.062500,true,,1,0.0000,9.5000"


def table(keys):
    count = len(keys)
    return pa.table(
        {
            "user_key": pa.array(keys, pa.uint64()),
            "active_probability": [0.25] * count,
            "expected_value_micros": pa.array([1_234_567] * count, pa.int64()),
            "segment_probabilities": [[0.75, 0.125, 0.0625, 0.0625]] * count,
            "segment": pa.array([1] * count, pa.int8()),
            "value_low_micros": pa.array([0] * count, pa.int64()),
            "value_high_micros": pa.array([9_500_000] * count, pa.int64()),
            "eligible": [True] * count,
            "ineligible_reason": [""] * count,
            "reasons": [WHY] * count,
        }
    )


def test_rows_are_ordered_by_the_id_shown_not_by_the_pseudonym():
    text = predictions_csv(table([1, 2]), {1: "b", 2: "a"}).decode()
    assert text.splitlines() == [
        "user,p_active,spend,p0,p1,p2,p3,eligible,reason,segment,value_low,value_high,"
        "raises,lowers",
        f"a,{SAID},orders often; spends much,quiet for long",
        f"b,{SAID},orders often; spends much,quiet for long",
    ]


def test_an_id_with_a_comma_stays_one_cell():
    assert '"a,b",' in predictions_csv(table([1]), {1: "a,b"}).decode()


@pytest.mark.parametrize(
    "text",
    ["ana@example.com", "+447911123456", "+44 (0)20 7946 0018", "07911123456", "555-010-1234"],
)
def test_addresses_and_phone_numbers_are_contacts(text):
    assert is_contact(text)
    assert shown_id(255, text, keep_ids=False) == "00000000000000ff"
    assert shown_id(255, text, keep_ids=True) == text


@pytest.mark.parametrize("text", ["17850", "00004", "customer-00012", "1234567890123", "A@", ""])
def test_ordinary_ids_are_not_contacts(text):
    assert not is_contact(text)


def test_a_key_without_an_id_is_shown_as_its_pseudonym():
    assert shown_id(1, "", keep_ids=True) == "0000000000000001"


def test_the_summary_is_there_only_when_the_rest_is(tmp_path):
    folder = staging(tmp_path)
    (folder / "report.html").write_text("new")
    (tmp_path / "report.html").write_text("old")
    places = publish(tmp_path, folder, {"b": 1, "a": 2})
    assert [place.name for place in places] == ["report.html", "summary.json"]
    assert (tmp_path / "report.html").read_text() == "new"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.html", "summary.json"]


def test_files_that_only_an_earlier_run_has_go_with_its_summary(tmp_path):
    for names in (("report.html", "next_products.csv"), ("report.html",)):
        folder = staging(tmp_path)
        for name in names:
            (folder / name).write_text("")
        publish(tmp_path, folder, {"files_sha256": dict.fromkeys(names, "")})
        (tmp_path / "notes.txt").write_text("of somebody else")
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == ["notes.txt", "report.html", "summary.json"]


def test_what_a_killed_run_staged_is_thrown_away(tmp_path):
    (staging(tmp_path) / "report.html").write_text("half")
    assert list(staging(tmp_path).iterdir()) == []
