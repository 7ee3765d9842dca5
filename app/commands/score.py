"""The commands of the stream: score and audit."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import click

from app import console
from app.commands.place import Place
from app.failures import ExitCode
from app.session import logging_to
from shared.bus import BusSettings
from shared.config.environment import read
from shared.config.home import WorkspaceSettings
from shared.config.prediction import PredictionFile, load_shipped, parse_prediction
from shared.config.variables import (
    BUS_PREFIX,
    BUS_SERVERS,
    METRICS_LISTEN,
    VARIABLES,
    WAREHOUSE,
    WarehouseAddress,
)
from shared.errors import FailedPreconditionError
from shared.obs.metrics import MetricsPort


@click.command()
@click.argument("prediction")
@click.option("--model", default="", help="Model or version that answers, such as models/shop.")
@click.pass_context
def score(context: click.Context, prediction: str, model: str) -> None:
    """Say a PREDICTION as events happen, until Ctrl-C or SIGTERM.

    PREDICTION is a file, or the name of one that comes with Oriel; its block stream says which
    events call for it. Events come from the bus, predictions go to the warehouse and the topic
    predictions.v1. Start it several times to share the partitions. ORIEL_WAREHOUSE and
    ORIEL_BUS_SERVERS say where both are, and ORIEL_METRICS_LISTEN where metrics are shown.

    \b
    Examples:
      oriel score churn_now.yaml
    """
    place: Place = context.obj
    home = place.home
    workspace = WorkspaceSettings.load(home.settings_file)
    environment = read(os.environ, VARIABLES, (WAREHOUSE, BUS_SERVERS))
    bus = BusSettings(environment[BUS_SERVERS], environment[BUS_PREFIX])
    file = _file(prediction)
    with logging_to(home, "score.log"), ExitStack() as stack:
        if metrics := environment.get(METRICS_LISTEN):
            host, _, port = metrics.rpartition(":")
            stack.callback(MetricsPort(int(port), host).close)
        from services.inference import main as inference  # loads the engine of the models
        from services.ingestion import main as ingestion
        from shared import warehouse

        store = stack.enter_context(
            warehouse.await_server(environment[WAREHOUSE], warehouse.require_migrated)
        )
        store.check()
        member = inference.scorer(
            inference.InferenceSettings(home, workspace),
            store,
            bus,
            ingestion.event_decoder(workspace, bus),
            file,
            model,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: member.stop())
        console.say(f"scoring {file.name} over {', '.join(bus.servers)}; stop with Ctrl-C")
        member.run()
        console.say("stopped")
    context.exit(ExitCode.OK)


@click.command()
@click.option("--prediction", default="", help="Only this prediction.")
def audit(prediction: str) -> None:
    """Show what became of the messages of each scored partition, and whether all are accounted for.

    Fails where the counts do not add up, or the warehouse holds another number of predictions than
    was counted, or one of them twice. ORIEL_WAREHOUSE says where it is.

    \b
    Examples:
      oriel bus audit
    """
    from services.inference.adapters.stream_audit import stream_audit
    from shared.warehouse import connect

    environment = read(os.environ, VARIABLES, (WAREHOUSE,))
    address: WarehouseAddress = environment[WAREHOUSE]
    store = connect(**vars(address))
    try:
        found = stream_audit(store, prediction)
    finally:
        store.close()
    if not found:
        console.say("Nothing was scored over the bus yet.")
        return
    columns = ["stream", *found[0].counts.outcomes, "consumed", "logged", "exact"]
    rows = [
        (
            each.stream,
            *each.counts.outcomes.values(),
            each.counts.consumed,
            each.logged,
            "yes" if each.is_exact else "NO",
        )
        for each in found
    ]
    console.table("", columns, rows)
    inexact = [each.stream for each in found if not each.is_exact]
    if inexact:
        raise FailedPreconditionError(
            f"{', '.join(inexact)}: not all messages are accounted for, or a prediction is stored "
            "twice; keep the log and the warehouse, this is a bug",
            reason="STREAM_NOT_EXACT",
            streams=", ".join(inexact),
        )


def _file(prediction: str) -> PredictionFile:
    path = Path(prediction)
    if path.is_file():
        return parse_prediction(path.read_text(encoding="utf-8"))
    return load_shipped(prediction)
