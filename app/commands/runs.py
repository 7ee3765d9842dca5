"""The command that shows training runs: runs."""

from collections.abc import Iterator
from pathlib import Path

import click

from app import console
from app.commands.leaderboard import show_leaderboard
from app.commands.place import Place
from app.session import open_session
from oriel.common.v1 import common_pb2
from oriel.training.v1 import training_pb2 as pb
from oriel.training.v1.training_pb2_grpc import TrainingServiceStub

_FILES = (("trace", "trace.json"), ("chart", "layers.svg"))


@click.command()
@click.argument("name", required=False)
@click.pass_obj
def runs(place: Place, name: str | None) -> None:
    """List training runs, or show one: how far, how fast, and where its time goes.

    NAME is the first column of the list. The time of each layer is measured in runs of
    `oriel train`; the trace opens in ui.perfetto.dev. Of a run with --thorough the leaderboard of
    settings is shown, also while it goes on.

    \b
    Examples:
      oriel runs
      oriel runs 3f0c9a52d1e84b67
    """
    with open_session(place.home, "oriel runs") as channel:
        stub = TrainingServiceStub(channel)
        if name is None:
            _list(stub)
        else:
            full = f"trainingRuns/{name.removeprefix('trainingRuns/')}"
            request = pb.GetTrainingRunRequest(name=full)
            _show(stub.GetTrainingRun(request).training_run)


def _list(stub: TrainingServiceStub) -> None:
    rows = [
        (
            run.name.removeprefix("trainingRuns/"),
            run.model.removeprefix("models/"),
            _state(run),
            _epochs(run),
            speed(run.throughput),
            run.model_version.rpartition("/")[2],
        )
        for run in _all(stub)
    ]
    if not rows:
        console.say("no training run yet; start one with: oriel train")
        return
    console.table("", ["name", "model", "state", "epochs", "speed", "version"], rows)


def _show(run: pb.TrainingRun) -> None:
    facts: list[tuple[str, object]] = [
        ("name", run.name),
        ("model", run.model_version or run.model),
        ("dataset", run.dataset),
        ("state", _state(run)),
        ("epochs", _epochs(run)),
        ("speed", speed(run.throughput)),
    ]
    if run.error.message:
        facts.append(("error", run.error.message))
    if run.losses:
        last = run.losses[-1]
        losses = f"{last.train_loss:.4f}, {last.validation_loss:.4f} on held-out rows"
        facts.append(("last losses", losses))
    facts.append(("folder", run.uri))
    facts += [(label, file) for label, each in _FILES if (file := Path(run.uri) / each).is_file()]
    console.facts(facts)
    show_leaderboard(Path(run.uri))
    if run.layers:
        columns = ["layer", "parameters", "forward ms", "backward ms", "share"]
        console.table("", columns, _layers(run))


def _layers(run: pb.TrainingRun) -> list[tuple[object, ...]]:
    total = sum(layer.forward_seconds + layer.backward_seconds for layer in run.layers)
    return [
        (
            layer.name,
            layer.parameter_count,
            1e3 * layer.forward_seconds,
            1e3 * layer.backward_seconds,
            f"{(layer.forward_seconds + layer.backward_seconds) / total:.0%}",
        )
        for layer in run.layers
    ]


def speed(throughput: pb.Throughput) -> str:
    """Return a speed for people; nothing where none was measured.

    >>> speed(pb.Throughput(steps_per_second=3.21, samples_per_second=411.0))
    '3.2 steps/s, 411 rows/s'
    """
    steps, rows = throughput.steps_per_second, throughput.samples_per_second
    return f"{steps:,.1f} steps/s, {rows:,.0f} rows/s" if steps else ""


def _state(run: pb.TrainingRun) -> str:
    return common_pb2.State.Name(run.state).removeprefix("STATE_").lower()


def _epochs(run: pb.TrainingRun) -> str:
    done = run.progress
    return f"{done.completed_count} of {done.total_count}" if done.total_count else ""


def _all(stub: TrainingServiceStub) -> Iterator[pb.TrainingRun]:
    token = ""
    while True:
        page = stub.ListTrainingRuns(pb.ListTrainingRunsRequest(page_token=token))
        yield from page.training_runs
        token = page.next_page_token
        if not token:
            return
