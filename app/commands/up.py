"""The command that keeps everything serving: up."""

import signal
import threading
from contextlib import ExitStack

import click
import grpc

from app import console, lock
from app.commands.place import Place
from app.deployment import service_addresses
from app.failures import ExitCode
from app.session import load_newest_snapshot, logging_to
from shared.config.home import WorkspaceSettings
from shared.errors import DomainError, FailedPreconditionError
from shared.obs.metrics import MetricsPort


@click.command()
@click.option("--port", default=50051, show_default=True, help="gRPC port on loopback; 0: any.")
@click.option(
    "--metrics-port", default=9464, show_default=True, help="Prometheus port on loopback; 0: any."
)
@click.option("--http", type=int, help="Also take events over HTTP on this loopback port; 0: any.")
@click.pass_context
def up(context: click.Context, port: int, metrics_port: int, http: int | None) -> None:
    """Serve the workspace on loopback until Ctrl-C or SIGTERM.

    Other `oriel` commands on the same workspace find it by themselves. Health, reflection and the
    four services answer on one port; health says SERVING once the newest features are loaded.
    With --http, libraries that speak the Segment spec can send events; oriel keys lets them in.

    \b
    Examples:
      oriel up
      oriel up --http 8080
      oriel --home oriel-out/events/workspace up --port 0
    """
    if service_addresses():
        raise FailedPreconditionError(
            "ORIEL_INGESTION_ADDRESS and its like name services that run as processes; "
            "unset them to serve from this one",
            reason="SERVICES_ARE_PROCESSES",
        )
    place: Place = context.obj
    home = place.home
    workspace = WorkspaceSettings.load(home.settings_file)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    held = lock.acquire(home.lock_path, "oriel up")
    if held is None:
        holder = lock.holder_of(home.lock_path) or lock.Holder(0, "another oriel")
        raise FailedPreconditionError(
            f"process {holder.pid} ({holder.command}) holds {home.path}; "
            "end it, or choose another folder with --home",
            reason="HOME_LOCKED",
            pid=holder.pid,
            path=home.path,
        )
    with logging_to(home), ExitStack() as running:
        from app import embedded  # the engine and the services take seconds to load

        services = embedded.start(home, workspace, held, port=port, is_warm=True)
        running.callback(services.stop)
        metrics = _open_metrics(metrics_port)
        running.callback(metrics.close)
        console.say(_warm_up(services.channel))
        services.set_ready()
        console.say(f"serving {home.path}")
        console.say(f"gRPC     {services.address}  (health and reflection included)")
        if http is not None:
            from services.console import main as door  # only this needs its libraries

            opened = door.serve(door.ConsoleSettings(home, port=http), services.channel)
            running.callback(opened.stop)
            console.say(f"HTTP     http://{opened.address}/v1/batch")
        console.say(f"metrics  http://{metrics.address}/metrics")
        console.say(f"log      {home.logs_path / 'oriel.log'}")
        console.say("Stop with Ctrl-C.")
        stopping.wait()
        console.say("stopping")
    context.exit(ExitCode.OK)


def _open_metrics(port: int) -> MetricsPort:
    try:
        return MetricsPort(port)
    except OSError as error:
        raise FailedPreconditionError(
            f"cannot listen on 127.0.0.1:{port} for metrics; --metrics-port 0 takes a free port",
            reason="METRICS_ADDRESS_TAKEN",
            port=port,
        ) from error


def _warm_up(channel: grpc.Channel) -> str:
    """Load what Predict reads; a workspace that has learned nothing yet serves all the same."""
    try:
        snapshot = load_newest_snapshot(channel)
    except DomainError as error:
        return f"no features loaded: {error.message}"
    if snapshot is None:
        return "no features to load yet; oriel run makes them"
    return f"features of {snapshot.user_count:,} customers loaded"
