"""Commands on events: ingest, rejects, replay."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import grpc

from app import console
from app.commands import mapping as mappings
from app.commands.place import Place
from app.failures import ExitCode
from app.session import open_session
from oriel.ingestion.v1 import ingestion_pb2 as pb
from oriel.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from pipelines.clients import Clients
from shared.config.home import Home

_PAYLOAD_SHOWN = 160


@click.command()
@click.argument("file")
@click.option("--mapping", help=mappings.HELP)
@click.option("--source", default="", help="Name of the source; the mapping's when left out.")
@click.option("--dry-run", is_flag=True, help="Show ten mapped rows and every problem by column.")
@click.pass_context
def ingest(
    context: click.Context, file: str, mapping: str | None, source: str, dry_run: bool
) -> None:
    """Import the events of a CSV, Parquet or JSONL FILE.

    Rows that cannot be stored are kept with the reason; the others are stored. The same file
    again adds nothing; a grown file adds only its new rows. A dry run needs no workspace.

    \b
    Examples:
      oriel ingest orders.csv --dry-run
      oriel ingest orders.csv
      oriel ingest export.csv --mapping ours.yaml --source till
    """
    place: Place = context.obj
    uri, text = uri_of(file), mappings.text_or_name(mapping)
    if dry_run:
        with _any_session(place.home, text) as channel:
            request = pb.PreviewImportRequest(uri=uri, mapping=text, source=source)
            preview = IngestionServiceStub(channel).PreviewImport(request)
        _show_preview(preview)
        context.exit(ExitCode.REJECTED_ROWS if preview.problems else ExitCode.OK)
    with open_session(place.home, "oriel ingest") as channel, console.stages() as stages:
        done = Clients(channel).import_file(
            pb.CreateImportRequest(uri=uri, mapping=text, source=source),
            lambda resource: stages.show("import", resource.progress),
        )
        stages.end("import", f"{done.row_count:,} rows")
    console.facts(
        [
            ("rows read", done.row_count),
            ("rows stored", done.accepted_row_count),
            ("stored before", done.duplicate_row_count),
            ("without a customer", done.anonymous_row_count),
            ("rejected", done.rejected_row_count),
            ("events written", done.event_count),
            ("mapping, source", f"{done.mapping}, {done.source}"),
        ]
    )
    _end_with_rejects(context, done.rejected_row_count)


@click.command()
@click.option("--source", default="", help="Only this source.")
@click.option("--reason", default="", help="Only this reason, e.g. BAD_TIMESTAMP.")
@click.option("--limit", default=20, show_default=True, help="Rows to show; 0 shows all.")
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line, whole bytes.")
@click.pass_obj
def rejects(place: Place, source: str, reason: str, limit: int, is_json: bool) -> None:
    """Show the rows that could not be stored, with the reason, the field and how to mend it.

    \b
    Examples:
      oriel rejects
      oriel rejects --reason BAD_TIMESTAMP --limit 0
    """
    with open_session(place.home, "oriel rejects") as channel:
        stub = IngestionServiceStub(channel)
        found = list(_rejected(stub, source, reason, limit))
        held = stub.GetWorkspaceSummary(pb.GetWorkspaceSummaryRequest())
    if is_json:
        for event in found:
            console.say(_as_json(event))
        return
    if not held.rejected_count:
        console.say("Nothing is rejected.")
        return
    counts = Counter({(each.reason, each.field): each.count for each in held.rejections})
    rows = [(key[0], key[1], count) for key, count in counts.most_common()]
    console.table("Rejected rows not replayed", ["reason", "field", "rows"], rows)
    shown = [
        (event.reason, event.field, event.row, Path(event.origin).name, event.message, _text(event))
        for event in found
    ]
    console.table("", ["reason", "field", "row", "from", "what to do", "row as it came"], shown)
    console.say("After mending the mapping: oriel replay --mapping FILE")


@click.command()
@click.option("--mapping", help="Mapping to try; the one each row failed under when left out.")
@click.option("--source", default="", help="Only this source.")
@click.option("--reason", default="", help="Only this reason.")
@click.pass_context
def replay(context: click.Context, mapping: str | None, source: str, reason: str) -> None:
    """Try the rejected rows again, under a mended mapping, and store what passes.

    \b
    Examples:
      oriel replay --mapping ours.yaml
      oriel replay --reason FUTURE_TIMESTAMP
    """
    place: Place = context.obj
    request = pb.ReplayRejectedEventsRequest(
        mapping=mappings.text_or_name(mapping), source=source, reason=reason
    )
    with open_session(place.home, "oriel replay") as channel:
        done = IngestionServiceStub(channel).ReplayRejectedEvents(request, timeout=3600)
    console.facts(
        [
            ("tried again", done.replayed_count),
            ("stored now", done.accepted_count),
            ("stored before", done.duplicate_count),
            ("still rejected", done.rejected_count),
        ]
    )
    _end_with_rejects(context, done.rejected_count)


def uri_of(file: str) -> str:
    """Return an absolute path, since the server may run elsewhere; URIs stay as they are."""
    if "://" in file:
        return file
    path = Path(file).expanduser()
    if not path.exists():
        raise click.UsageError(f"there is no file {file!r}; check the path")
    return str(path.absolute())


@contextmanager
def _any_session(home: Home, mapping_text: str) -> Iterator[grpc.Channel]:
    """Yield a session of the workspace, or of a passing one where there is none yet."""
    if home.settings_file.exists():
        with open_session(home, "oriel ingest --dry-run") as channel:
            yield channel
        return
    with tempfile.TemporaryDirectory(prefix="oriel-dry-run-") as folder:
        passing = Home(Path(folder))
        mappings.demo_workspace(mapping_text).save(passing.settings_file)
        with open_session(passing, "oriel ingest --dry-run") as channel:
            yield channel


def _show_preview(preview: pb.PreviewImportResponse) -> None:
    console.say(f"mapping {preview.mapping}, {preview.row_count:,} rows looked at, nothing stored")
    rows = [json.loads(row) for row in preview.rows_json]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    filled = [name for name in columns if any(row.get(name) not in (None, "", []) for row in rows)]
    if rows:
        shown = [[_short(row.get(name)) for name in filled] for row in rows]
        console.table("First rows as mapped", filled, shown)
    if preview.problems:
        problems = [
            (each.column, each.reason, each.row_count, each.first_row, each.message)
            for each in preview.problems
        ]
        columns = ["column", "reason", "rows", "first row", "example and how to mend it"]
        console.table("Problems", columns, problems)
    else:
        console.say("No problem found.")


def _rejected(
    stub: IngestionServiceStub, source: str, reason: str, limit: int
) -> Iterator[pb.RejectedEvent]:
    token, left = "", limit if limit > 0 else None
    while left is None or left > 0:
        request = pb.ListRejectedEventsRequest(
            page_size=min(left or 500, 500), page_token=token, source=source, reason=reason
        )
        page = stub.ListRejectedEvents(request)
        yield from page.events
        left = None if left is None else left - len(page.events)
        token = page.next_page_token
        if not token:
            return


def _end_with_rejects(context: click.Context, rejected: int) -> None:
    if not rejected:
        return
    console.warn(f"{rejected:,} rows were rejected; the others are stored.")
    console.warn("See why: oriel rejects. After mending: oriel replay --mapping FILE")
    context.exit(ExitCode.REJECTED_ROWS)


def _text(event: pb.RejectedEvent) -> str:
    return _short(event.payload.decode("utf-8", "replace"))


def _short(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    text = " ".join(text.split())
    return text if len(text) <= _PAYLOAD_SHOWN else text[: _PAYLOAD_SHOWN - 1] + "…"


def _as_json(event: pb.RejectedEvent) -> str:
    fields = {
        "rejection_id": event.rejection_id,
        "source": event.source,
        "origin": event.origin,
        "row": event.row,
        "reason": event.reason,
        "field": event.field,
        "message": event.message,
        "mapping": event.mapping,
        "payload": event.payload.decode("utf-8", "backslashreplace"),
        "reject_time": event.reject_time.ToJsonString(),
    }
    return json.dumps(fields, ensure_ascii=False)
