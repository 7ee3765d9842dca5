"""TrainingService: translates messages to runs; holds no rule of its own."""

from collections.abc import Iterator

import grpc

from oriel.training.v1 import training_pb2 as pb
from oriel.training.v1 import training_pb2_grpc as rpc
from services.training.adapters.messages import comparison_message, outline_message, run_message
from services.training.adapters.questions import config_of, names_of
from services.training.adapters.searches import search_of
from services.training.adapters.training import Training
from services.training.runs.click_config import ClickRunConfig
from services.training.runs.comparing import compare
from services.training.runs.config import RunConfig
from services.training.runs.folder import Order
from services.training.runs.outline import outline
from services.training.runs.product_config import ProductRunConfig
from services.training.runs.table_config import TableRunConfig
from shared.dataset.finished import FinishedDatasets
from shared.errors import InvalidArgumentError
from shared.jobs import JobStore
from shared.registry import ModelRegistry

MOST_NODES = 64
"""Processes of one kind in a group on one machine."""


class TrainingServicer(rpc.TrainingServiceServicer):
    """Serves training runs as durable resources.

    Args:
        datasets: Finds datasets.
        training: Carries out runs.
        jobs: Remembers runs.
        usual: Choices of a run that a request does not make.
        models: Where versions are found.
    """

    def __init__(
        self,
        datasets: FinishedDatasets,
        training: Training,
        jobs: JobStore,
        usual: RunConfig,
        models: ModelRegistry,
    ) -> None:
        self._datasets, self._training, self._jobs = datasets, training, jobs
        self._usual, self._models = usual, models

    def ExplainTrainingRun(
        self, request: pb.ExplainTrainingRunRequest, _context: grpc.ServicerContext
    ) -> pb.ExplainTrainingRunResponse:
        """Say what a run would train and on how many rows."""
        config = config_of(request.prediction_files, 0, self._usual)
        dataset = self._datasets.find(request.dataset)
        _require_answered(request, dataset.predictions)
        return outline_message(outline(dataset.folder, config))

    def CreateTrainingRun(
        self, request: pb.CreateTrainingRunRequest, _context: grpc.ServicerContext
    ) -> pb.CreateTrainingRunResponse:
        """Start a run, or find the one its request_id names."""
        model = _model(request.model)
        config = config_of(request.prediction_files, request.seed, self._usual)
        is_waiting = isinstance(config, RunConfig) and config.awaited != ""
        if is_waiting or isinstance(config, TableRunConfig | ProductRunConfig | ClickRunConfig):
            _require_one_process(request)
        search = search_of(request.prediction_files, config) if request.is_thorough else {}
        if search:
            _require_one_process(request)
        dataset = self._datasets.find(request.dataset)
        _require_answered(request, dataset.predictions)
        order = Order(
            model,
            str(dataset.folder),
            dataset.content_hash,
            request.has_layer_times,
            *_nodes(request, config.members if isinstance(config, RunConfig) else 1),
            search=search,
        )
        asked = {
            "model": request.model,
            "dataset": request.dataset,
            "prediction_files": list(request.prediction_files),
            "seed": request.seed,
            "nodes": [order.workers, order.servers, order.groups, order.on_ray],
            **({"search": search} if search else {}),
        }
        job = self._jobs.submit(
            request.request_id, asked, lambda run: self._training.carry_out(order, config, run)
        )
        return pb.CreateTrainingRunResponse(training_run=run_message(job))

    def GetTrainingRun(
        self, request: pb.GetTrainingRunRequest, _context: grpc.ServicerContext
    ) -> pb.GetTrainingRunResponse:
        """Return a run as it stands."""
        return pb.GetTrainingRunResponse(training_run=run_message(self._jobs.get(request.name)))

    def ListTrainingRuns(
        self, request: pb.ListTrainingRunsRequest, _context: grpc.ServicerContext
    ) -> pb.ListTrainingRunsResponse:
        """Return a page of runs."""
        jobs, token = self._jobs.list(request.page_size, request.page_token)
        return pb.ListTrainingRunsResponse(
            training_runs=[run_message(job) for job in jobs], next_page_token=token
        )

    def CancelTrainingRun(
        self, request: pb.CancelTrainingRunRequest, _context: grpc.ServicerContext
    ) -> pb.CancelTrainingRunResponse:
        """Ask a run to stop."""
        job = self._jobs.cancel(request.name)
        return pb.CancelTrainingRunResponse(training_run=run_message(job))

    def WatchTrainingRun(
        self, request: pb.WatchTrainingRunRequest, _context: grpc.ServicerContext
    ) -> Iterator[pb.WatchTrainingRunResponse]:
        """Stream a run until it has ended."""
        for job in self._jobs.watch(request.name):
            yield pb.WatchTrainingRunResponse(training_run=run_message(job))

    def CompareModelVersions(
        self, request: pb.CompareModelVersionsRequest, _context: grpc.ServicerContext
    ) -> pb.CompareModelVersionsResponse:
        """Set two versions of one question side by side."""
        first, second = (self._models.get(each) for each in (request.first, request.second))
        return comparison_message(first.name, second.name, compare(first, second))


def _model(name: str) -> str:
    collection, _, model = name.partition("/")
    if collection != "models" or not model or "/" in model:
        raise InvalidArgumentError(
            f"model {name!r} must look like models/customers",
            reason="MODEL_NAME_MALFORMED",
            name=name,
        )
    return model


def _require_one_process(request: pb.CreateTrainingRunRequest) -> None:
    if request.HasField("placement"):
        raise InvalidArgumentError(
            "placement: networks of a table, texts, products or sessions, of when something "
            "happens, and those of a search are fitted in one process; leave it unset",
            reason="PLACEMENT_INVALID",
            field="placement",
        )


def _nodes(request: pb.CreateTrainingRunRequest, fit_count: int) -> tuple[int, int, int, bool]:
    """Workers of a group, servers, groups, and whether Ray carries them; no workers without."""
    if not request.HasField("placement"):
        return 0, 0, 1, False
    asked = request.placement
    group_count = asked.group_count or 1
    for field, count in (
        ("worker_count", asked.worker_count),
        ("server_count", asked.server_count),
        ("group_count", group_count),
    ):
        if not 1 <= count <= MOST_NODES:
            raise InvalidArgumentError(
                f"placement.{field} is {count}; it must lie between 1 and {MOST_NODES}",
                reason="PLACEMENT_INVALID",
                field=field,
                value=count,
            )
    if group_count > fit_count:
        raise InvalidArgumentError(
            f"placement.group_count is {group_count}, and only {fit_count} of the run's networks "
            "may be fitted at the same time; ask for no more groups than that",
            reason="PLACEMENT_INVALID",
            field="group_count",
            value=group_count,
            most=fit_count,
        )
    return asked.worker_count, asked.server_count, group_count, asked.on_ray


def _require_answered(
    request: pb.CreateTrainingRunRequest | pb.ExplainTrainingRunRequest, answered: tuple[str, ...]
) -> None:
    for name in names_of(request.prediction_files):
        if name not in answered:
            raise InvalidArgumentError(
                f"{request.dataset} was not built for {name!r} but for {', '.join(answered)}; "
                "build it from the same prediction files",
                reason="DATASET_FOR_OTHER_PREDICTIONS",
                dataset=request.dataset,
                prediction=name,
            )
