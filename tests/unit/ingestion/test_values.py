"""Times, numbers and identities out of columns."""

import math
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingestion.domain.casting import cast_or_null
from services.ingestion.domain.identity import (
    hex_ids,
    nth_digests,
    occurrences_within,
    text_digests,
    text_keys,
)
from services.ingestion.domain.keyset import KeySet
from services.ingestion.domain.numbers import parse_numbers, to_micros
from services.ingestion.domain.times import parse_times


def moments(values, **options):
    times, is_missing, is_bad = parse_times(values, **({"zone": "UTC"} | options))
    return [
        None if missing else "bad" if bad else datetime.fromtimestamp(time / 1000, UTC).isoformat()
        for time, missing, bad in zip(times.tolist(), is_missing, is_bad, strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2011-12-01", "2011-12-01T00:00:00+00:00"),
        ("2011-12-01 10:30", "2011-12-01T10:30:00+00:00"),
        (" 2011-12-01T10:30:15.123456789Z ", "2011-12-01T10:30:15.123000+00:00"),
        ("2011-12-01T10:30:15+0530", "2011-12-01T05:00:15+00:00"),
        ("2011-12-01T10:30:15-05:30", "2011-12-01T16:00:15+00:00"),
        ("1970-01-01", "1970-01-01T00:00:00+00:00"),
        ("1969-12-31T23:59:59.999Z", "bad"),
        ("2011-02-30", "bad"),
        ("2011-13-01", "bad"),
        ("soon", "bad"),
        ("", "bad"),
        ("99999-01-01", "bad"),
        (None, None),
    ],
)
def test_texts_are_read_as_iso_8601(text, expected):
    assert moments(pa.array([text], pa.string())) == [expected]


def test_one_bad_time_among_many_does_not_spoil_the_rest():
    texts = [f"2011-01-01T00:{n // 60 % 60:02}:{n % 60:02}" for n in range(3000)]
    texts[1234] = "soon"
    read = moments(pa.array(texts))
    assert [n for n, text in enumerate(read) if text == "bad"] == [1234]


def test_local_times_are_in_their_zone_also_where_the_clock_changes():
    texts = pa.array(["2023-07-01 12:00", "2023-03-26 01:30", "2023-10-29 01:30"])
    assert moments(texts, zone="Europe/London") == [
        "2023-07-01T11:00:00+00:00",
        "2023-03-26T01:00:00+00:00",  # does not exist
        "2023-10-29T00:30:00+00:00",  # exists twice; the first counts
    ]


def test_formats_come_before_iso_8601():
    texts = pa.array(["1.12.2011", "2011-12-01", "12/1/2011"])
    assert moments(texts, formats=("%d.%m.%Y",)) == [
        "2011-12-01T00:00:00+00:00",
        "2011-12-01T00:00:00+00:00",
        "bad",
    ]


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (pa.array([1322735400]), {"unit": "s"}, "2011-12-01T10:30:00+00:00"),
        (pa.array(["1322735400000"]), {"unit": "ms"}, "2011-12-01T10:30:00+00:00"),
        (pa.array([1322735400]), {}, "bad"),
        (pa.array([math.inf]), {"unit": "s"}, "bad"),
        (pa.array([True]), {}, "bad"),
        (pa.array([date(2011, 12, 1)]), {}, "2011-12-01T00:00:00+00:00"),
        (pa.array([datetime(2011, 12, 1, 10, 30)]), {}, "2011-12-01T10:30:00+00:00"),  # noqa: DTZ001
        (
            pa.array([datetime(2011, 7, 1, 10, 30)]),  # noqa: DTZ001
            {"zone": "Europe/London"},
            "2011-07-01T09:30:00+00:00",
        ),
        (
            pa.array([datetime(2011, 12, 1, tzinfo=UTC)]),
            {"zone": "Asia/Tokyo"},
            "2011-12-01T00:00:00+00:00",
        ),
        (pa.nulls(1), {}, None),
    ],
)
def test_other_columns_are_read_as_what_they_are(values, options, expected):
    assert moments(values, **options) == [expected]


@pytest.mark.parametrize(
    ("column", "values", "missing", "bad"),
    [
        (["1", " 2.5 ", "£3", "4 €"], [1, 2.5, 3, 4], 0, 0),
        (["x", "", "1,5", "nan", "inf"], [0] * 5, 0, 5),
        ([1.5, None, math.nan, math.inf], [1.5, 0, 0, 0], 2, 1),
        ([1, -2], [1, -2], 0, 0),
        ([True], [0], 0, 1),
    ],
)
def test_numbers_are_read_from_text_and_numbers(column, values, missing, bad):
    read, is_missing, is_bad = parse_numbers(pa.array(column))
    assert read.tolist() == values
    assert (int(is_missing.sum()), int(is_bad.sum())) == (missing, bad)


def test_a_point_among_decimal_commas_is_a_fault_and_not_another_number():
    read, _, is_bad = parse_numbers(pa.array(["1,5", "1.5"]), decimal=",")
    assert read.tolist() == [1.5, 0.0]
    assert is_bad.tolist() == [False, True]


def test_micros_round_halves_to_even():
    assert to_micros(np.array([0.0000005, 0.0000015, -2.55])).tolist() == [0, 2, -2_550_000]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["1", "2", "x", None]), max_size=300))
def test_a_cast_with_bad_values_keeps_the_good_in_place(texts):
    wanted = [int(text) if text and text.isdigit() else None for text in texts]
    assert cast_or_null(pa.array(texts, pa.string()), pa.int64()).to_pylist() == wanted


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60))
def test_equal_rows_get_ids_of_their_own_that_do_not_depend_on_what_follows(rows):
    digests = text_digests(pa.array(rows))
    ids = hex_ids(nth_digests(digests, occurrences_within(digests))).to_pylist()
    assert len(set(ids)) == len(rows)
    part = text_digests(pa.array(rows[: len(rows) // 2], pa.string()))
    assert hex_ids(nth_digests(part, occurrences_within(part))).to_pylist() == ids[: len(part)]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), max_size=20), max_size=12))
def test_a_key_set_knows_what_was_added_and_how_often(additions):
    keys, met = KeySet(), []
    for numbers in additions:
        texts = pa.array([str(number) for number in numbers], pa.string())
        assert keys.contains(text_keys(texts)).tolist() == [number in met for number in numbers]
        assert keys.counts(text_keys(texts)).tolist() == [met.count(number) for number in numbers]
        keys.add(text_keys(texts))
        met += numbers
    assert len(keys) == len(met)
