"""Commands on the workspace itself: init, doctor, version."""

import platform
import secrets
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import click
import grpc

from app import console, lock
from app.commands.place import Place
from app.deployment import service_addresses
from app.session import open_session
from oriel.feature.v1 import feature_pb2, feature_pb2_grpc
from oriel.inference.v1 import inference_pb2, inference_pb2_grpc
from oriel.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from shared import rpc
from shared.config.home import Home, WorkspaceSettings
from shared.errors import AlreadyExistsError, NotFoundError, UnavailableError

MODEL = "models/customer_90d"
_LEAST_FREE_BYTES = 2_000_000_000
_SHOWN_PACKAGES = ("chdb", "jax", "grpcio", "pyarrow", "numpy")


@click.command()
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code of all money.")
@click.option(
    "--time-zone", default="UTC", show_default=True, help="IANA zone whose midnights part days."
)
@click.option("--retention-days", type=int, help="Events older than this may be dropped.")
@click.pass_obj
def init(place: Place, currency: str, time_zone: str, retention_days: int | None) -> None:
    """Make a workspace: the folder that holds everything Oriel knows.

    Draws the random key under which every customer is pseudonymised. Currency and zone cannot be
    changed once events are stored.

    \b
    Examples:
      oriel init --currency GBP --time-zone Europe/London
      oriel --home /srv/oriel init --retention-days 1095
    """
    home = place.home
    if home.settings_file.exists():
        raise AlreadyExistsError(
            f"{home.path} is a workspace already; choose another folder with --home",
            reason="WORKSPACE_EXISTS",
            path=home.path,
        )
    WorkspaceSettings(
        pseudonym_key=secrets.token_bytes(32),
        currency=currency.upper(),
        time_zone=time_zone,
        retention_days=retention_days,
    ).save(home.settings_file)
    console.say(f"Workspace {home.path}: {currency.upper()}, {time_zone}, a new pseudonym key.")
    console.say("Keep workspace.yaml: without its key no customer is recognised again.")
    console.say("Next: oriel ingest FILE --dry-run")


@click.command()
@click.pass_obj
def doctor(place: Place) -> None:
    """Say how the workspace stands: who holds it, versions, disk, events, rejects, model.

    Works beside a running `oriel up` and starts the services itself when there is none.
    """
    home = place.home
    addresses = service_addresses()
    workspace = WorkspaceSettings.load(home.settings_file)
    free = shutil.disk_usage(home.path).free
    console.facts(
        [
            ("workspace", home.path),
            ("currency, zone", f"{workspace.currency}, {workspace.time_zone}"),
            ("retention", f"{workspace.retention_days or 'unlimited'} days"),
            *(_states(addresses) if addresses else [("held by", _held(home))]),
            ("versions", _versions()),
            ("disk", f"{free / 1e9:.1f} GB free, {_size(home.path) / 1e9:.2f} GB used here"),
        ]
    )
    if free < _LEAST_FREE_BYTES:
        console.warn("warning: less than 2 GB free; an import may not fit")
    with open_session(home, "oriel doctor") as channel:
        console.facts([*_held_events(channel), *_learned(channel)])


@click.command("version")
def show_version() -> None:
    """Print the versions of Oriel and of what it stands on."""
    console.say(f"oriel {version('oriel')}")
    console.say(_versions())


def _states(addresses: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    for service, address in addresses.items():
        try:
            rpc.require_serving(address)
        except UnavailableError as error:
            yield service.split(".")[1], error.message
        else:
            yield service.split(".")[1], f"ready at {address}"


def _held(home: Home) -> str:
    holder = lock.holder_of(home.lock_path)
    if holder is None:
        return "nobody"
    return f"{holder.command}, process {holder.pid}, at {holder.address or '(starting)'}"


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _SHOWN_PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def _size(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512
        except FileNotFoundError:  # a running server removes files as it merges
            continue
    return total


def _held_events(channel: grpc.Channel) -> list[tuple[str, object]]:
    stub = ingestion_pb2_grpc.IngestionServiceStub(channel)
    held = stub.GetWorkspaceSummary(ingestion_pb2.GetWorkspaceSummaryRequest())
    last = held.last_event_time.ToJsonString() if held.event_count else None
    arrived = held.last_ingest_time.ToJsonString() if held.event_count else None
    rejects = f"{held.rejected_count:,}"
    if held.rejected_count:
        worst = max(held.rejections, key=lambda rejection: rejection.count, default=None)
        why = f"; most often {worst.reason} in {worst.field or 'the row'}" if worst else ""
        rejects += f"{why}; see oriel rejects"
    return [
        ("events", f"{held.event_count:,} of {held.user_count:,} known customers"),
        ("orders", f"{held.order_count:,}, {console.money(held.gross_micros, held.currency)}"),
        ("last event", last),
        ("last ingested", arrived),
        ("rejects", rejects),
    ]


def _learned(channel: grpc.Channel) -> list[tuple[str, object]]:
    inference = inference_pb2_grpc.InferenceServiceStub(channel)
    features = feature_pb2_grpc.FeatureServiceStub(channel)
    datasets = features.ListDatasets(feature_pb2.ListDatasetsRequest(page_size=1)).datasets
    newest = f"{datasets[0].name}, {datasets[0].row_count:,} rows" if datasets else None
    try:
        request = inference_pb2.GetModelVersionRequest(name=MODEL)
        model = inference.GetModelVersion(request).model_version
        aliases = ", ".join(model.aliases) or "no alias"
        champion = f"{model.name} ({aliases})"
    except NotFoundError:
        champion = "none yet; oriel run trains one"
    return [("newest dataset", newest), ("model in service", champion)]
