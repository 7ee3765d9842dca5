"""The ingestion service over gRPC, embedded as the product runs it."""

import json
from pathlib import Path

import grpc
import pytest

from oriel.ingestion.v1 import ingestion_pb2 as pb
from oriel.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from services.ingestion.main import IngestionSettings, build
from shared.config.home import Home, WorkspaceSettings
from shared.errors import InvalidArgumentError, NotFoundError
from shared.rpc import connect, serve
from shared.warehouse import migrate, open_embedded

HEADER = "invoice,stock_code,quantity,timestamp,unit_price,customer_id\n"
ORDERS = HEADER + (
    "1,A,2,2023-01-31T23:30:00Z,1.50,7\n"
    "2,A,1,2023-02-01 12:00,4,8\n"
    "C3,A,-1,2023-02-02 12:00,4,8\n"
    "4,B,1,2023-02-03 12:00,10,\n"
    "5,B,1,never,10,9\n"
)
EVENT = {
    "type": "track",
    "event": "Product Viewed",
    "messageId": "m1",
    "userId": "ana",
    "timestamp": "2023-03-01T10:00:00Z",
}


@pytest.fixture
def stub(tmp_path):
    home = Home(tmp_path / "home")
    workspace = WorkspaceSettings(pseudonym_key=b"k" * 16, currency="GBP", time_zone="Europe/Paris")
    with open_embedded(home.warehouse_path) as warehouse:
        migrate(warehouse)
        service = build(IngestionSettings(home, workspace), warehouse)
        with (
            serve([service], "127.0.0.1:0") as server,
            connect(server.address) as channel,
        ):
            yield IngestionServiceStub(channel)


def write(folder: Path, text: str = ORDERS) -> str:
    path = folder / "orders.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def done(stub, **request) -> pb.Import:
    name = getattr(stub.CreateImport(pb.CreateImportRequest(**request)), "import").name
    *_, last = stub.WatchImport(pb.WatchImportRequest(name=name))
    return getattr(last, "import")


def test_a_file_goes_in_and_the_summary_says_what_is_held(stub, tmp_path):
    found = done(stub, uri=write(tmp_path), request_id="r1")
    assert (found.mapping, found.source, found.progress.unit) == (
        "order_lines",
        "order_lines",
        "rows",
    )
    counts = (found.row_count, found.accepted_row_count, found.rejected_row_count)
    assert counts == (5, 4, 1)
    assert (found.anonymous_row_count, found.event_count) == (1, 4)

    held = stub.GetWorkspaceSummary(pb.GetWorkspaceSummaryRequest())
    assert (held.currency, held.time_zone) == ("GBP", "Europe/Paris")
    assert (held.event_count, held.user_count, held.order_count) == (4, 2, 3)
    assert (held.gross_micros, held.net_micros) == (17_000_000, 13_000_000)
    assert (held.anonymous_order_count, held.anonymous_gross_micros) == (1, 10_000_000)
    assert (held.line_count, held.anonymous_line_count) == (4, 1)
    assert held.rejected_count == 1
    assert [(each.reason, each.field, each.count) for each in held.rejections] == [
        ("BAD_TIMESTAMP", "timestamp", 1)
    ]
    # 23:30 UTC is past midnight in Paris.
    assert [(m.month, m.order_count, m.buyer_count) for m in held.months] == [("2023-02", 3, 2)]
    assert held.first_event_time.ToJsonString() == "2023-01-31T23:30:00Z"


def test_a_summary_can_end_before_an_instant_and_is_empty_before_all(stub, tmp_path):
    done(stub, uri=write(tmp_path))
    request = pb.GetWorkspaceSummaryRequest()
    request.before_time.FromJsonString("2023-02-02T00:00:00Z")
    assert stub.GetWorkspaceSummary(request).event_count == 2
    request.before_time.FromJsonString("2001-01-01T00:00:00Z")
    empty = stub.GetWorkspaceSummary(request)
    assert (empty.event_count, empty.gross_micros) == (0, 0)
    assert not empty.HasField("first_event_time")


def test_the_same_request_is_the_same_import(stub, tmp_path):
    path = write(tmp_path)
    first = done(stub, uri=path, request_id="r1")
    assert done(stub, uri=path, request_id="r1") == first
    with pytest.raises(InvalidArgumentError) as caught:
        stub.CreateImport(pb.CreateImportRequest(uri=path, source="other", request_id="r1"))
    assert caught.value.reason == "REQUEST_ID_REUSED"
    listed = stub.ListImports(pb.ListImportsRequest()).imports
    assert [each.name for each in listed] == [first.name]
    assert getattr(stub.GetImport(pb.GetImportRequest(name=first.name)), "import") == first
    cancelled = stub.CancelImport(pb.CancelImportRequest(name=first.name))
    assert getattr(cancelled, "import").state == first.state


def test_a_file_that_cannot_be_read_starts_no_import(stub, tmp_path):
    with pytest.raises(InvalidArgumentError) as caught:
        stub.CreateImport(pb.CreateImportRequest(uri=write(tmp_path, "")))
    assert caught.value.reason == "EMPTY_FILE"
    assert not stub.ListImports(pb.ListImportsRequest()).imports


def test_a_dry_run_shows_rows_and_every_problem_by_column_and_stores_nothing(stub, tmp_path):
    text = ORDERS + "6,B,1,never,10,9\n7,B,x,2023-01-01,10,9\n"
    shown = stub.PreviewImport(pb.PreviewImportRequest(uri=write(tmp_path, text)))
    assert (shown.mapping, shown.row_count, len(shown.rows_json)) == ("order_lines", 7, 4)
    first = json.loads(shown.rows_json[0])
    assert (first["order"], first["user"], first["total"]) == ("1", "7", 3.0)
    problems = [(p.column, p.reason, p.row_count, p.first_row) for p in shown.problems]
    assert problems == [
        ("quantity", "BAD_NUMBER", 1, 6),
        ("timestamp", "BAD_TIMESTAMP", 2, 4),
    ]
    assert "'never'" in shown.problems[1].message
    held = stub.GetWorkspaceSummary(pb.GetWorkspaceSummaryRequest())
    assert (held.event_count, held.rejected_count) == (0, 0)


def test_a_dry_run_of_events_shows_ten(stub, tmp_path):
    path = tmp_path / "events.jsonl"
    lines = [json.dumps(EVENT | {"messageId": str(n)}) for n in range(30)]
    path.write_text("\n".join(lines), encoding="utf-8")
    shown = stub.PreviewImport(pb.PreviewImportRequest(uri=str(path)))
    assert (shown.mapping, shown.row_count, len(shown.rows_json)) == ("segment", 30, 10)
    assert json.loads(shown.rows_json[9])["event"] == "Product Viewed"


def test_events_go_in_once_and_rejects_come_back_in_order(stub):
    events = [EVENT, EVENT, {**EVENT, "userId": "", "messageId": "m2"}, b"no json"]
    request = pb.IngestEventsRequest(
        events=[e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
    )
    answer = stub.IngestEvents(request)
    assert (answer.accepted_count, answer.duplicate_count, answer.rejected_count) == (1, 1, 2)
    assert [(each.index, each.reason) for each in answer.rejections] == [
        (2, "MISSING_ID"),
        (3, "BAD_JSON"),
    ]
    assert stub.IngestEvents(request).duplicate_count == 2
    assert stub.IngestEvents(pb.IngestEventsRequest()).accepted_count == 0


def test_too_many_events_at_once_are_refused(stub):
    with pytest.raises(InvalidArgumentError) as caught:
        stub.IngestEvents(pb.IngestEventsRequest(events=[b"{}"] * 10_001))
    assert caught.value.reason == "TOO_MANY_EVENTS"


def test_rejects_are_listed_in_pages_and_replayed(stub, tmp_path):
    text = HEADER + "".join(f"{n},A,x,2023-01-01,1,7\n" for n in range(5))
    done(stub, uri=write(tmp_path, text))
    rows, token = [], ""
    for _ in range(3):
        page = stub.ListRejectedEvents(
            pb.ListRejectedEventsRequest(page_size=2, page_token=token, reason="BAD_NUMBER")
        )
        rows += page.events
        token = page.next_page_token
    assert token == ""
    assert [row.row for row in rows] == [0, 1, 2, 3, 4]
    assert rows[0].payload == b"0,A,x,2023-01-01,1,7"
    assert (rows[0].field, rows[0].mapping) == ("quantity", "order_lines")
    mapping = (
        "kind: orders\nnull_values: [x]\ncolumns: {order: invoice, user: customer_id, "
        "time: timestamp, unit_price: unit_price, quantity: {column: quantity, default: '1'}}"
    )
    answer = stub.ReplayRejectedEvents(pb.ReplayRejectedEventsRequest(mapping=mapping))
    assert (answer.replayed_count, answer.accepted_count, answer.rejected_count) == (5, 5, 0)
    assert not stub.ListRejectedEvents(pb.ListRejectedEventsRequest()).events
    with pytest.raises(InvalidArgumentError, match="page_token"):
        stub.ListRejectedEvents(pb.ListRejectedEventsRequest(page_token="x"))


def test_keys_translate_both_ways(stub, tmp_path):
    done(stub, uri=write(tmp_path))
    keys = stub.BatchGetUserKeys(pb.BatchGetUserKeysRequest(source_ids=["7", "8", "", "new"]))
    assert keys.user_keys[2] == 0
    ids = stub.BatchGetSourceIds(pb.BatchGetSourceIdsRequest(user_keys=keys.user_keys))
    assert list(ids.source_ids) == ["7", "8", "", ""]
    with pytest.raises(InvalidArgumentError, match="at most 100000"):
        stub.BatchGetUserKeys(pb.BatchGetUserKeysRequest(source_ids=["a"] * 100_001))


def test_an_unknown_import_is_not_found(stub):
    with pytest.raises((NotFoundError, grpc.RpcError)):
        stub.GetImport(pb.GetImportRequest(name="imports/none"))
