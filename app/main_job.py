"""Runs the main job over a channel and tells people what came out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from app import console
from oriel.common.v1 import common_pb2
from pipelines import (
    main_job,
    main_job_publish,
    main_job_results,
    next_orders,
    next_products,
    side_question,
)
from pipelines.clients import Clients
from pipelines.segments.discover import discover
from pipelines.simulator import simulate
from shared.config.home import Home
from shared.registry import ModelRegistry

_EVENTS = "events.jsonl"


@dataclass(frozen=True)
class Result:
    """What the job left."""

    answers: main_job.Answers
    summary: Mapping[str, Any]
    out: Path


def simulated_events(out: Path, *, seed: int, users: int) -> Path:
    """Write the events of a simulated shop beside the results and return the file."""
    out.mkdir(parents=True, exist_ok=True)
    partial = simulate(seed=seed, users=users).write(out / f".{_EVENTS}.partial")
    return partial.replace(out / _EVENTS)


def carry_out(
    channel: grpc.Channel,
    job: main_job.MainJob,
    out: Path,
    stages: console.Stages,
    *,
    home: Home,
    keep_ids: bool,
) -> Result:
    """Do the job in a workspace and publish its results in a folder."""
    clients = Clients(channel)
    answers = main_job.run(clients, job, stages)
    segments = discover(clients, answers, ModelRegistry(home.registry_path), stages)
    products, orders = (
        side_question.ask(clients, answers, stages, each.PREDICTION, each.STAGE)
        for each in (next_products, next_orders)
    )
    stages.show("report", common_pb2.Progress(message="drawing"))
    folder = main_job_publish.staging(out)
    summary = main_job_results.write(
        clients, answers, segments, products, orders, folder, keep_ids=keep_ids
    )
    main_job_publish.publish(out, folder, summary)
    stages.end("report", ", ".join(name for name in summary["files_sha256"]))
    return Result(answers, summary, out)


def tell(result: Result, *, home: Home, seconds: float) -> None:
    """Print what came out, where it lies and what to try next."""
    answers, held = result.answers, result.answers.before
    evaluation = result.summary["evaluation"]
    rows: list[tuple[str, object]] = [
        ("events", f"{held.event_count:,} ({held.rejected_count:,} rows rejected)"),
        ("customers", f"{held.user_count:,}"),
        ("orders", f"{held.order_count:,}, {held.anonymous_order_count:,} without a customer"),
        ("gross revenue", console.money(held.gross_micros, held.currency)),
        ("net revenue", console.money(held.net_micros, held.currency)),
        ("predicted from", f"{answers.as_of_time:%Y-%m-%d %H:%M %Z}, 90 days on"),
        ("model", answers.model.name),
    ]
    rows += [(label, text) for label, text in _measured(evaluation)]
    rows += [("dataset", answers.training.content_hash), ("time", f"{seconds:.0f} s")]
    console.facts(rows)
    if held.rejected_count:
        console.say(f"\nSome rows were rejected; see why: oriel --home {_shown(home)} rejects")
    console.say(f"\nReport: {result.out / 'report.html'}")
    console.say("\nTry next:")
    console.say(f"  oriel --home {_shown(home)} predict {_somebody(result)}")
    console.say(f"  oriel --home {_shown(home)} doctor")
    console.say(f"  oriel --home {_shown(home)} up")
    if answers.job.is_simulated:
        console.say("  oriel run --events YOUR_FILE")


def _measured(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say how good the model was on the last usable window, beside the baselines."""
    names = {"model": "churn AUC", "logistic_regression": "  logistic", "recency_rule": "  recency"}
    lines = []
    for model, label in names.items():
        auc = evaluation["metrics"].get(model, {}).get("auc")
        if auc:
            lines.append((label, f"{auc['value']:.3f} ± {auc['se']:.3f}"))
    return lines


def _somebody(result: Result) -> str:
    """Return a customer worth asking about: the first to contact, or else the first at all."""
    for name in ("contacts.csv", "predictions.csv"):
        with (result.out / name).open(encoding="utf-8") as stream:
            lines = [stream.readline(), stream.readline()]
        if lines[1].strip():
            return lines[1].split(",")[0]
    return "USER"


def _shown(home: Home) -> str:
    try:
        return str(home.path.relative_to(Path.cwd()))
    except ValueError:
        return str(home.path)
