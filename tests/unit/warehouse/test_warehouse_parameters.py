from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from shared.errors import InvalidArgumentError
from shared.warehouse.parameters import render


def one(value, type_name="String"):
    return render(f"SELECT {{p:{type_name}}}", {"p": value})["p"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("it's", "it\\'s"),
        ("back\\slash", "back\\\\slash"),
        ("tab\tline\nnul\0", "tab\\tline\\nnul\\0"),
        (None, "\\N"),
        (True, "true"),
        (7, "7"),
        (-1.5, "-1.5"),
        (date(2011, 9, 10), "2011-09-10"),
        (["a'b", None], "['a\\'b',NULL]"),
        ((1, 2), "[1,2]"),
        ({"email": True}, "{'email':true}"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (np.array([1.5, 2.5]), "[1.5,2.5]"),
    ],
)
def test_each_kind_of_value_has_its_text(value, text):
    assert one(value) == text


def test_a_time_in_any_zone_is_written_in_utc():
    moment = datetime(2011, 9, 10, 1, 2, 3, 456000, tzinfo=timezone(timedelta(hours=1)))
    assert one(moment, "DateTime64(3,'UTC')") == "2011-09-10 00:02:03.456000"
    assert one([moment], "Array(DateTime64(3,'UTC'))") == "['2011-09-10 00:02:03.456000']"


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        (300, "UInt8"),
        (-1, "UInt64"),
        (2**63, "Int64"),
        (2**64, "Nullable(UInt64)"),
        ([1, -1], "Array(UInt64)"),
        (datetime(2011, 9, 10), "DateTime64(3,'UTC')"),  # noqa: DTZ001
        (datetime(1, 1, 1, tzinfo=UTC), "DateTime64(3,'UTC')"),
        (b"bytes", "String"),
        (object(), "String"),
    ],
)
def test_a_value_without_a_place_in_its_type_is_refused_by_name(value, type_name):
    with pytest.raises(InvalidArgumentError, match="Parameter p") as caught:
        one(value, type_name)
    assert caught.value.reason == "BAD_PARAMETER"
