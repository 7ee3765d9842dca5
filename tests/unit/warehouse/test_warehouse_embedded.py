import pyarrow as pa
import pytest

from shared.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from shared.warehouse import migrate, open_embedded, read_holder


def test_rows_survive_closing_and_opening_again(tmp_path):
    with open_embedded(tmp_path / "w") as warehouse:
        migrate(warehouse)
        warehouse.insert("events", pa.table({"message_id": ["m1"], "source": ["shop"]}))
    with open_embedded(tmp_path / "w") as warehouse:
        assert migrate(warehouse) == []
        rows = warehouse.query("SELECT message_id, source FROM events")
    assert rows.to_pylist() == [{"message_id": "m1", "source": "shop"}]


def test_a_second_opener_learns_who_holds_the_folder_and_where(tmp_path):
    with open_embedded(tmp_path / "w") as warehouse:
        warehouse.announce("127.0.0.1:7000")
        holder = read_holder(tmp_path / "w")
        assert holder is not None
        with pytest.raises(FailedPreconditionError, match=str(holder.pid)) as caught:
            open_embedded(tmp_path / "w")
    assert caught.value.reason == "WAREHOUSE_LOCKED"
    assert caught.value.metadata["address"] == "127.0.0.1:7000"
    assert read_holder(tmp_path / "w") is None


def test_another_folder_in_the_same_process_is_refused_with_the_reason(tmp_path):
    with (
        open_embedded(tmp_path / "a"),
        pytest.raises(FailedPreconditionError, match="already") as caught,
    ):
        open_embedded(tmp_path / "b")
    assert caught.value.reason == "WAREHOUSE_NOT_OPENED"
    open_embedded(tmp_path / "b").close()


def test_a_path_that_the_engine_would_misread_is_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"\?"):
        open_embedded(tmp_path / "what?")


def test_a_closed_warehouse_says_so(tmp_path):
    warehouse = open_embedded(tmp_path / "w")
    warehouse.close()
    warehouse.close()
    with pytest.raises(UnavailableError) as caught:
        warehouse.query("SELECT 1")
    assert caught.value.reason == "WAREHOUSE_CLOSED"
