"""The command that trains one model: train."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from app import console
from app.commands.leaderboard import show_leaderboard
from app.commands.place import Place
from app.commands.question import DATA_HELP, question_text
from app.session import open_session
from oriel.training.v1 import training_pb2
from pipelines import training
from pipelines.clients import Clients
from shared.config.search import with_search
from shared.config.sources import source_of


@click.command()
@click.argument("prediction")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help=DATA_HELP,
)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the images; else the file's.")
@click.option("--seed", default=7, show_default=True, help="Of all randomness in training.")
@click.option(
    "--runtime",
    type=click.Choice(["local", "ps"]),
    default="local",
    show_default=True,
    help="One process, or parameter servers and workers, each a process on a core of its own.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes that compute, in each group.  [default: 2]",
)
@click.option(
    "--servers", type=click.IntRange(1, 64), help="Processes that keep parameters.  [default: 1]"
)
@click.option(
    "--groups",
    type=click.IntRange(1, 64),
    help="Groups of workers, each with a network of the ensemble at a time.  [default: 1]",
)
@click.option(
    "--placement",
    "carrier",
    type=click.Choice(["machine", "ray"]),
    help="Where processes run: this machine, or actors of a Ray cluster.  [default: machine]",
)
@click.option("--thorough", is_flag=True, help="Search for the best settings first.")
@click.option("--trials", type=click.IntRange(1, 1_000), help="Settings to try.  [default: 20]")
@click.option(
    "--strategy",
    type=click.Choice(["tpe", "random", "grid"]),
    help="How settings are proposed: from those that went well, at random, or all of a grid.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be trained; train nothing.")
@click.pass_obj
def train(
    place: Place,
    prediction: str,
    data: Path,
    epochs: int | None,
    seed: int,
    runtime: str,
    workers: int | None,
    servers: int | None,
    groups: int | None,
    carrier: str | None,
    thorough: bool,
    trials: int | None,
    strategy: str | None,
    dry_run: bool,
) -> None:
    """Train the model that answers a PREDICTION file, judge it and publish it.

    PREDICTION is a YAML file or the name of one that comes with Oriel: mnist, cifar10 and flowers
    learn from a folder of images below --data; bank, telco and online_shoppers from a table there,
    reviews from texts and next_click from sessions of clicks; churn_90d, value_90d and segment_90d
    from the events in the workspace, as known at the first midnight after the last one.

    The images lie in train*.npz or train*.parquet and, if some are kept to judge on, in test*
    beside it. A table or texts are .parquet or .csv files, judged by cross-validation and, where
    there are files named test*, on those too. What was learned is published as models/NAME, with a
    model card that says how well it does on images or rows, or at a time, it has not seen.

    The same command again finds the same version; another seed or changed data make another.

    With --runtime ps gradients go from workers to parameter servers layer by layer; lost processes
    are replaced and change nothing in the result. A question about users is answered by several
    networks: --groups fits so many of them at the same time, on the same servers, each by workers
    with a queue of their own. Groups change nothing in the result either.

    With --placement ray these processes are carried by actors of the Ray cluster that RAY_ADDRESS
    names, or of one that is started on this machine for the run.

    With --thorough settings are searched for before the model is trained as usual: learning rate,
    width, dropout and others, or what `search` in the file names. They are tried only inside the
    training instants, or on rows of a table that are not judged afterwards; bad ones are stopped
    early, and the best are fitted with several seeds. The last window is looked at once, by the
    settings chosen. A search that is stopped or killed goes on from its last trial when the same
    command is given again. The leaderboard is printed and lies beside the model card; `oriel runs
    NAME` shows it while the search goes on.

    \b
    Examples:
      oriel train mnist --data ../shared/data --dry-run
      oriel train mnist --data ../shared/data
      oriel train bank --data ../shared/data
      oriel train flowers.yaml --data ~/pictures --epochs 5
      oriel train churn_90d
      oriel train churn_90d --thorough --trials 40
      oriel train mnist --data ../shared/data --runtime ps --workers 2 --servers 2
      oriel train churn_90d --runtime ps --workers 1 --servers 2 --groups 2
    """
    started = time.perf_counter()
    placement = _placement(runtime, workers, servers, groups, carrier)
    text = question_text(prediction, data, epochs)
    if thorough:
        _require_searchable(prediction, text, placement)
        text = with_search(text, trials=trials, strategy=strategy)
    elif (trials, strategy) != (None, None):
        raise click.UsageError("--trials and --strategy are for a search; add --thorough")
    if placement and source_of(text) in ("table", "sessions"):
        raise click.UsageError(f"{prediction} is trained in one process; leave --runtime out")
    if placement and placement.group_count > 1 and source_of(text) == "images":
        raise click.UsageError(
            f"--groups is for an ensemble, and one network answers {prediction}; leave it out"
        )
    question = training.Question.of(text)
    fitting = training.Fitting(seed, placement, thorough)
    with open_session(place.home, "oriel train") as channel:
        clients = Clients(channel)
        with console.stages() as stages:
            dataset = training.prepare(clients, question, stages)
            found = training.explain(clients, question, dataset)
            trained = (
                None if dry_run else training.train(clients, question, dataset, fitting, stages)
            )
    console.facts([("dataset", dataset.content_hash), *_facts(found)])
    if trained is None:
        layers = [(layer.name, layer.parameter_count) for layer in found.layers]
        console.table("", ["layer", "parameters"], layers)
        return
    console.table("", *_metrics(trained.evaluation["metrics"]))
    if "test" in trained.evaluation:
        test = trained.evaluation["test"]["metrics"]
        console.table("the rows of the test files", *_metrics(test))
    show_leaderboard(Path(trained.version.uri))
    console.facts(
        [
            ("model", trained.version.name),
            ("model card", trained.card),
            ("time", f"{time.perf_counter() - started:.0f} s"),
        ]
    )


def _require_searchable(
    prediction: str, text: str, placement: training_pb2.Placement | None
) -> None:
    kind = source_of(text)
    if kind not in ("users", "table"):
        raise click.UsageError(
            f"--thorough searches settings for users and tables, and {prediction} asks of {kind}; "
            "leave it out"
        )
    if placement:
        raise click.UsageError("--thorough fits in one process; leave --runtime out")


def _placement(
    runtime: str,
    workers: int | None,
    servers: int | None,
    groups: int | None,
    carrier: str | None,
) -> training_pb2.Placement | None:
    """Return the processes of a run; None where one process does everything."""
    if runtime == "ps":
        return training_pb2.Placement(
            worker_count=workers or 2,
            server_count=servers or 1,
            group_count=groups or 1,
            on_ray=carrier == "ray",
        )
    if (workers, servers, groups, carrier) != (None, None, None, None):
        raise click.UsageError(
            "--workers, --servers, --groups and --placement are for --runtime ps; add it"
        )
    return None


def _facts(found: training_pb2.ExplainTrainingRunResponse) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        (f"rows, {part.name}", part.row_count) for part in found.parts
    ]
    if found.classes:
        rows.append(("classes", f"{len(found.classes)}: {', '.join(found.classes)}"))
    count = sum(layer.parameter_count for layer in found.layers)
    networks = f"{found.member_count} networks of " if found.member_count > 1 else ""
    rows.append(("model", f"{networks}{len(found.layers)} layers, {count:,} parameters"))
    return rows


def _metrics(metrics: Mapping[str, Any]) -> tuple[list[str], list[tuple[object, ...]]]:
    """Return the columns and rows of a table: a metric a row, the model before its baselines."""
    names = ["model", *(name for name in metrics if name != "model")]
    rows: list[tuple[object, ...]] = [
        (metric.replace("_", " "), *(_estimate(metrics[name][metric]) for name in names))
        for metric in metrics["model"]
    ]
    return ["on rows it has not seen", *(name.replace("_", " ") for name in names)], rows


def _estimate(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return "-"
    error = "" if estimate["se"] is None else f" ± {estimate['se']:.4f}"
    return f"{estimate['value']:.4f}{error}"
