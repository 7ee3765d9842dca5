"""The commands about prediction files: prediction init, check and explain."""

from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path

import click

from app import console
from app.commands.place import Place
from app.commands.question import DATA_HELP, question_text
from app.commands.templates import TEMPLATES
from app.session import open_session
from oriel.feature.v1 import feature_pb2 as pb
from pipelines import training
from pipelines.clients import Clients
from shared.config.prediction import PredictionFile, parse_prediction
from shared.config.sources import source_of
from shared.errors import FailedPreconditionError

_DATA = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), default=Path(), help=DATA_HELP
)


@click.group()
def prediction() -> None:
    """Start a prediction file, check it against the data, or explain what it would learn from.

    \b
    Examples:
      oriel prediction init churn --out churn.yaml
      oriel prediction check churn.yaml
      oriel prediction explain bank --data ../shared/data
    """


@prediction.command("init")
@click.argument("kind", type=click.Choice(list(TEMPLATES)))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; printed when left out.",
)
def init_prediction(kind: str, out: Path | None) -> None:
    """Write a commented prediction file to start from.

    KIND is what is asked: one of the questions about users, the class of images, the next click of
    a session, or the answer for the rows of a table or for texts.

    \b
    Examples:
      oriel prediction init churn
      oriel prediction init table --out bank.yaml
    """
    if out is None:
        console.say(TEMPLATES[kind].rstrip("\n"))
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(TEMPLATES[kind])
    except FileExistsError as error:
        raise click.UsageError(f"{out} is there already; name another with --out") from error
    except OSError as error:
        raise click.UsageError(f"cannot write {out}: {error.strerror}") from error
    console.say(f"wrote {out}; edit it, then: oriel prediction check {out}")


@prediction.command()
@click.argument("file", metavar="PREDICTION")
@_DATA
@click.pass_obj
def check(place: Place, file: str, data: Path) -> None:
    """Check a prediction file, and that there is enough data to answer it.

    PREDICTION is a YAML file or the name of one that comes with Oriel. Each rule on the least data
    needed is listed with its value and its threshold; one that is not met ends with exit code 3.

    \b
    Examples:
      oriel prediction check churn_90d
      oriel prediction check bank --data ../shared/data
    """
    _, found = _explained(place, file, data)
    rows = [
        (rule.rule.replace("_", " "), f"{rule.value:g}", f"{rule.threshold:g}", _word(rule.is_met))
        for rule in found.rules
    ]
    console.table("", ["rule", "value", "at least", ""], rows)
    broken = [rule for rule in found.rules if not rule.is_met]
    if broken:
        listed = "; ".join(
            f"{rule.rule} is {rule.value:g}, at least {rule.threshold:g} needed" for rule in broken
        )
        raise FailedPreconditionError(
            f"{file} cannot be answered yet: {listed}. Bring more data, or ask for less",
            reason="TOO_LITTLE_DATA",
            **{rule.rule: f"{rule.value:g} of {rule.threshold:g}" for rule in broken},
        )
    console.say(f"{file} can be trained: oriel train {file}")


@prediction.command()
@click.argument("file", metavar="PREDICTION")
@_DATA
@click.pass_obj
def explain(place: Place, file: str, data: Path) -> None:
    """Explain which rows, windows, gaps and folds a prediction file would learn from.

    PREDICTION is a YAML file or the name of one that comes with Oriel. Of a table every column
    that is not read is named with the reason. Nothing is built and nothing is trained.

    \b
    Examples:
      oriel prediction explain churn_90d
      oriel prediction explain bank --data ../shared/data
    """
    text, found = _explained(place, file, data)
    facts: list[tuple[str, object]] = [("rows", f"{found.row_count:,}")]
    if source_of(text) == "users":
        question = parse_prediction(text)
        facts += _times(question)
        console.facts(facts)
        console.table(
            "windows",
            [
                *("features before", "answers before", "asked about"),
                "happened to" if question.target.awaited else "ordered",
            ],
            list(_windows(found, question)),
        )
    else:
        console.facts(facts)
    console.table("folds", ["fold", "fitted on", "judged on", "judged from"], list(_folds(found)))
    console.table("read", ["feature"], [(feature,) for feature in found.features])
    if found.excluded:
        rows = [(each.column, each.reason) for each in found.excluded]
        console.table("not read", ["column", "because"], rows)


def _explained(place: Place, file: str, data: Path) -> tuple[str, pb.ExplainDatasetResponse]:
    """The text of a prediction file, and what a dataset for it would hold."""
    text = question_text(file, data)
    question = training.Question.of(text)
    with open_session(place.home, "oriel prediction") as channel:
        return text, training.explain_dataset(Clients(channel), question)


def _times(question: PredictionFile) -> list[tuple[str, object]]:
    gap = question.as_of.gap.days
    return [
        ("asked about", str(question.eligible) or "everybody"),
        ("horizon", f"{question.horizon.days} days after each instant"),
        ("gap", f"{gap} days left free between a label window and what is judged after it"),
        ("instants", f"every {question.as_of.every.days} days"),
    ]


def _windows(
    found: pb.ExplainDatasetResponse, question: PredictionFile
) -> Iterator[tuple[object, ...]]:
    counts = zip(found.as_of_times, found.eligible_counts, found.active_counts, strict=True)
    for stamp, eligible, active in counts:
        as_of = stamp.ToDatetime(UTC)
        end = as_of + timedelta(days=question.horizon.days)
        yield f"{as_of:%Y-%m-%d}", f"{end:%Y-%m-%d}", f"{eligible:,}", f"{active:,}"


def _folds(found: pb.ExplainDatasetResponse) -> Iterator[tuple[object, ...]]:
    for fold in found.folds:
        judged = [f"{stamp.ToDatetime(UTC):%Y-%m-%d}" for stamp in fold.test_as_of_times]
        yield fold.name, f"{fold.train_row_count:,}", f"{fold.test_row_count:,}", ", ".join(judged)


def _word(is_met: bool) -> str:
    return "met" if is_met else "not met"
