"""Training runs as messages."""

from oriel.training.v1 import training_pb2 as pb
from services.training.runs.comparing import Comparison, Pair
from services.training.runs.outline import Outline
from shared.jobs import Job
from shared.jobs.messages import progress_message, state_message, status_message, time_message


def run_message(job: Job) -> pb.TrainingRun:
    """Return a run as it stands."""
    result = job.result
    return pb.TrainingRun(
        name=job.name,
        model=job.request["model"],
        dataset=job.request["dataset"],
        state=state_message(job),
        progress=progress_message(job),
        error=status_message(job),
        losses=[pb.LossPoint(**loss) for loss in result.get("losses", ())],
        model_version=result.get("model_version", ""),
        uri=result.get("uri", ""),
        create_time=time_message(job.create_time),
        end_time=time_message(job.end_time),
        throughput=pb.Throughput(
            steps_per_second=result.get("steps_per_second", 0.0),
            samples_per_second=result.get("samples_per_second", 0.0),
        ),
        layers=[pb.LayerTime(**layer) for layer in result.get("layers", ())],
    )


def outline_message(found: Outline) -> pb.ExplainTrainingRunResponse:
    """Return what a run would train."""
    return pb.ExplainTrainingRunResponse(
        parts=[pb.DatasetPart(name=name, row_count=count) for name, count in found.parts.items()],
        classes=found.classes,
        layers=[
            pb.ModelLayer(name=layer.name, parameter_count=layer.layout.size)
            for layer in found.layers
        ],
        member_count=found.members,
    )


def comparison_message(
    first: str, second: str, found: Comparison
) -> pb.CompareModelVersionsResponse:
    """Return two versions, named, side by side."""
    return pb.CompareModelVersionsResponse(
        first=first,
        second=second,
        metrics=[_pair_message(pair) for pair in found.pairs],
        row_count=found.row_count,
        unpaired_reason=found.unpaired,
        settings=[
            pb.SettingPair(setting=name, first=one, second=other)
            for name, one, other in found.settings
        ],
    )


def _pair_message(pair: Pair) -> pb.MetricPair:
    found, difference = pair.difference, None
    if found is not None:
        verdict = _VERDICTS[pair.verdict]
        difference = pb.MetricDifference(
            value=found.value, low=found.low, high=found.high, verdict=verdict
        )
    return pb.MetricPair(
        metric=pair.metric,
        first=pair.first.value,
        second=pair.second.value,
        first_error=pair.first.standard_error,
        second_error=pair.second.standard_error,
        difference=difference,
    )


_VERDICTS = {
    "": pb.VERDICT_UNSPECIFIED,
    "tie": pb.VERDICT_TIE,
    "better": pb.VERDICT_BETTER,
    "worse": pb.VERDICT_WORSE,
}
