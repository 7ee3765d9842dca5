"""Translates messages to use cases; holds no rule of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime

import grpc
import orjson

from oriel.ingestion.v1 import ingestion_pb2 as pb
from oriel.ingestion.v1 import ingestion_pb2_grpc as rpc
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.import_file import import_file
from services.ingestion.usecases.ingest_events import ingest_events
from services.ingestion.usecases.preview import preview
from services.ingestion.usecases.replay import list_rejected, open_counts, replay
from services.ingestion.usecases.summary import summarise
from services.ingestion.usecases.translate import source_ids_of, user_keys_of
from shared.jobs import Job, JobStore
from shared.jobs.messages import progress_message, state_message, status_message, time_message

_COUNTS = (
    "row_count", "accepted_row_count", "duplicate_row_count", "rejected_row_count",
    "anonymous_row_count", "event_count",
)  # fmt: skip
_TIMES = ("first_event_time", "last_event_time", "last_ingest_time")


class IngestionServicer(rpc.IngestionServiceServicer):
    """The ingestion service."""

    def __init__(self, circumstances: Circumstances, jobs: JobStore) -> None:
        self._circumstances, self._jobs = circumstances, jobs

    def IngestEvents(
        self,
        request: pb.IngestEventsRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.IngestEventsResponse:
        """Store events."""
        done = ingest_events(self._circumstances, list(request.events), request.source)
        return pb.IngestEventsResponse(
            accepted_count=done.accepted_row_count,
            duplicate_count=done.duplicate_row_count,
            rejected_count=done.rejected_row_count,
            rejections=[
                pb.Rejection(index=x.row, reason=x.reason, field=x.field, message=x.message)
                for x in done.rejections
            ],
        )

    def PreviewImport(
        self,
        request: pb.PreviewImportRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.PreviewImportResponse:
        """Show what an import would do."""
        shown = preview(self._circumstances, request.uri, request.mapping, request.source)
        return pb.PreviewImportResponse(
            mapping=shown.mapping,
            row_count=shown.row_count,
            rows_json=[orjson.dumps(row).decode() for row in shown.rows],
            problems=[
                pb.ColumnProblem(
                    column=problem.column,
                    reason=problem.reason.name,
                    row_count=problem.row_count,
                    first_row=problem.first_row,
                    message=problem.message,
                )
                for problem in shown.problems
            ],
        )

    def CreateImport(
        self,
        request: pb.CreateImportRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.CreateImportResponse:
        """Start to import a file; one that cannot be read is refused here."""
        opened = self._circumstances.sources.open(request.uri, request.mapping, request.source)
        self._circumstances.rules(opened.mapping)
        wanted = {
            "uri": request.uri,
            "mapping": opened.mapping.name,
            "mapping_text": request.mapping,
            "source": opened.mapping.source,
        }
        job = self._jobs.submit(
            request.request_id,
            wanted,
            lambda work: import_file(self._circumstances, opened, request.uri, work),
        )
        return pb.CreateImportResponse(**{"import": _import(job)})

    def GetImport(
        self,
        request: pb.GetImportRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.GetImportResponse:
        """Return an import as it stands."""
        return pb.GetImportResponse(**{"import": _import(self._jobs.get(request.name))})

    def ListImports(
        self,
        request: pb.ListImportsRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.ListImportsResponse:
        """List imports, newest first."""
        jobs, token = self._jobs.list(request.page_size, request.page_token)
        return pb.ListImportsResponse(imports=[_import(job) for job in jobs], next_page_token=token)

    def CancelImport(
        self,
        request: pb.CancelImportRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.CancelImportResponse:
        """Ask a running import to stop."""
        return pb.CancelImportResponse(**{"import": _import(self._jobs.cancel(request.name))})

    def WatchImport(
        self,
        request: pb.WatchImportRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> Iterator[pb.WatchImportResponse]:
        """Stream an import at every change."""
        for job in self._jobs.watch(request.name):
            yield pb.WatchImportResponse(**{"import": _import(job)})

    def ListRejectedEvents(
        self,
        request: pb.ListRejectedEventsRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.ListRejectedEventsResponse:
        """List rejected events, newest first."""
        rows, token = list_rejected(
            self._circumstances,
            request.source,
            request.reason,
            request.page_size,
            request.page_token,
        )
        events = [
            pb.RejectedEvent(
                rejection_id=row.rejection_id,
                source=row.source,
                origin=row.origin,
                row=row.row,
                reason=row.reason,
                field=row.field,
                message=row.message,
                payload=row.payload,
                reject_time=time_message(row.reject_time),
                mapping=row.mapping,
            )
            for row in rows
        ]
        return pb.ListRejectedEventsResponse(events=events, next_page_token=token)

    def ReplayRejectedEvents(
        self,
        request: pb.ReplayRejectedEventsRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.ReplayRejectedEventsResponse:
        """Validate rejected events again and store what passes."""
        done = replay(self._circumstances, request.source, request.reason, request.mapping)
        return pb.ReplayRejectedEventsResponse(
            replayed_count=done.row_count,
            accepted_count=done.accepted_row_count,
            duplicate_count=done.duplicate_row_count,
            rejected_count=done.rejected_row_count,
        )

    def GetWorkspaceSummary(
        self,
        request: pb.GetWorkspaceSummaryRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.GetWorkspaceSummaryResponse:
        """Sum up what the warehouse holds."""
        has_end = request.HasField("before_time")
        before = request.before_time.ToDatetime(tzinfo=UTC) if has_end else None
        zone = self._circumstances.time_zone
        found = summarise(self._circumstances.stores.warehouse, before, zone)
        rejections = open_counts(self._circumstances)
        counts = dict(found.counts)
        times: dict[str, datetime] = {name: counts.pop(name) for name in _TIMES}
        response = pb.GetWorkspaceSummaryResponse(
            currency=self._circumstances.currency,
            time_zone=zone,
            rejected_count=sum(each["count"] for each in rejections),
            rejections=[pb.RejectionCount(**each) for each in rejections],
            months=[pb.MonthSummary(**each) for each in found.months],
            **counts,
        )
        if response.event_count:
            for name, moment in times.items():
                getattr(response, name).FromDatetime(moment)
        return response

    def BatchGetSourceIds(
        self,
        request: pb.BatchGetSourceIdsRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.BatchGetSourceIdsResponse:
        """Translate pseudonyms to ids of the source."""
        ids = source_ids_of(self._circumstances.stores.vault, list(request.user_keys))
        return pb.BatchGetSourceIdsResponse(source_ids=ids)

    def BatchGetUserKeys(
        self,
        request: pb.BatchGetUserKeysRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.BatchGetUserKeysResponse:
        """Translate ids of the source to pseudonyms."""
        keys = user_keys_of(self._circumstances.stores.pseudonyms, list(request.source_ids))
        return pb.BatchGetUserKeysResponse(user_keys=keys)


def _import(job: Job) -> pb.Import:
    return pb.Import(
        name=job.name,
        uri=job.request["uri"],
        mapping=job.request["mapping"],
        source=job.request["source"],
        state=state_message(job),
        progress=progress_message(job),
        error=status_message(job),
        create_time=time_message(job.create_time),
        end_time=time_message(job.end_time),
        **{name: job.result.get(name, 0) for name in _COUNTS},
    )
