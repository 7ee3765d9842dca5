"""The command that sets two versions of a model side by side: compare."""

import math

import click

from app import console
from app.commands.place import Place
from app.session import open_session
from oriel.training.v1 import training_pb2 as pb
from oriel.training.v1.training_pb2_grpc import TrainingServiceStub
from shared.errors import FailedPreconditionError

_RUN = "trainingRuns/"


@click.command()
@click.argument("first")
@click.argument("second")
@click.pass_obj
def compare(place: Place, first: str, second: str) -> None:
    """Compare two trained versions of one prediction: which is better, and what differs.

    FIRST and SECOND are versions, such as models/churn_90d/versions/2 or churn_90d/2, or training
    runs by their name in the list of `oriel runs`. A model's name alone, such as churn_90d, is its
    champion, else its latest version.

    Where both were judged on the same rows, each metric tells the difference, second less first,
    with the middle 95 % of a paired bootstrap: the second is better or worse where that leaves out
    0, else it is a tie. Below stands what differs in configuration and data. Two versions of the
    same prediction that were judged on different rows are only set side by side, with the reason;
    versions that answer different questions are refused.

    \b
    Examples:
      oriel compare churn_90d/1 churn_90d/2
      oriel compare models/bank/versions/1 models/bank/versions/3
      oriel compare 3f0c9a52d1e84b67 99ab01f2c3d4e5f6
    """
    with open_session(place.home, "oriel compare") as channel:
        stub = TrainingServiceStub(channel)
        found = stub.CompareModelVersions(
            pb.CompareModelVersionsRequest(
                first=_version(stub, first), second=_version(stub, second)
            )
        )
    console.facts([("first", found.first), ("second", found.second), *_rows(found)])
    columns = ["metric", "first", "second"]
    if not found.unpaired_reason:
        columns += ["difference", "middle 95 %", "second is"]
    console.table("", columns, [_line(pair) for pair in found.metrics])
    if found.settings:
        settings = [(each.setting, each.first, each.second) for each in found.settings]
        console.table("what differs", ["setting", "first", "second"], settings)
    else:
        console.say("nothing differs in configuration or data")


def _version(stub: TrainingServiceStub, name: str) -> str:
    """The name of a version, from how people say it."""
    if name.startswith("models/"):
        return name
    model, has_number, number = name.partition("/")
    if has_number and not name.startswith(_RUN):
        return f"models/{model}/versions/{number}"
    if not name.startswith(_RUN) and not _is_run(name):
        return f"models/{name}"
    run = stub.GetTrainingRun(
        pb.GetTrainingRunRequest(name=f"{_RUN}{name.removeprefix(_RUN)}")
    ).training_run
    if not run.model_version:
        raise FailedPreconditionError(
            f"{run.name} has published no version; see: oriel runs {name.removeprefix(_RUN)}",
            reason="RUN_WITHOUT_VERSION",
            run=run.name,
        )
    return run.model_version


def _is_run(name: str) -> bool:
    return len(name) == 16 and set(name) <= set("0123456789abcdef")


def _rows(found: pb.CompareModelVersionsResponse) -> list[tuple[str, object]]:
    if found.unpaired_reason:
        return [("no differences", found.unpaired_reason)]
    return [("rows judged by both", found.row_count)]


def _line(pair: pb.MetricPair) -> tuple[object, ...]:
    line = (
        pair.metric.replace("_", " "),
        _estimate(pair.first, pair.first_error),
        _estimate(pair.second, pair.second_error),
    )
    if not pair.HasField("difference"):
        return line
    difference = pair.difference
    verdict = pb.Verdict.Name(difference.verdict).removeprefix("VERDICT_").lower()
    interval = f"{difference.low:+.4f} to {difference.high:+.4f}"
    word = "" if difference.verdict == pb.VERDICT_UNSPECIFIED else verdict
    return (*line, f"{difference.value:+.4f}", interval, word)


def _estimate(value: float, error: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" + ("" if math.isnan(error) else f" ± {error:.4f}")
