"""The main job on the command line: run."""

import time
from datetime import datetime
from pathlib import Path

import click

from app import console
from app.commands import mapping as mappings
from app.commands.events import uri_of
from app.commands.place import Place
from app.deployment import service_addresses
from app.session import open_session
from pipelines.main_job import MainJob
from shared.config.home import Home, WorkspaceSettings

_OUT = Path("oriel-out")


@click.command()
@click.option("--events", help="CSV, Parquet or JSONL file; a simulated shop when left out.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Predict from this day's start.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results.")
@click.option("--keep-ids", is_flag=True, help="Write every customer id as the source gave it.")
@click.option("--mapping", help=mappings.HELP)
@click.option("--source", default="", help="Name of the source; the mapping's when left out.")
@click.option("--seed", default=7, show_default=True, help="Of the simulator and of training.")
@click.option("--users", default=2000, show_default=True, help="Customers to simulate.")
@click.option("--currency", help="Currency of a workspace made here; else the mapping's, or USD.")
@click.option("--time-zone", help="Zone of a workspace made here; else the mapping's, or UTC.")
@click.pass_obj
def run(
    place: Place,
    events: str | None,
    as_of: datetime | None,
    out: Path | None,
    keep_ids: bool,
    mapping: str | None,
    source: str,
    seed: int,
    users: int,
    currency: str | None,
    time_zone: str | None,
) -> None:
    """Do the main job: import, learn, predict for every customer, report.

    Predicts from the first midnight after the last event, or from --as-of, what each customer does
    in the 90 days that follow, and leaves in --out (./oriel-out/NAME when left out):

    \b
      report.html      one page: segments, whom to contact, how far to trust it
      predictions.csv  one row a customer known before that instant
      segments.csv     the segment each was found in, its name, and the one 90 days before
      next_products.csv  ten products each may order next, and ten that are new to them
      next_order.csv   in how many days each orders next, and how probably within 30, 60, 90
      contacts.csv     whom to contact first, with the reasons
      summary.json     totals, hashes, metrics; written last, so it marks a whole result
      workspace/       what Oriel learned, unless --home names a workspace

    In predictions.csv a customer is called by the id of the source. An id that is itself an
    e-mail address or a phone number is written as its pseudonym in hexadecimal, so that the file
    can be passed on; --keep-ids writes every id as it came.

    A workspace made here uses a public, fixed pseudonym key, so that the same command gives the
    same bytes anywhere. For real customers make one with `oriel init` and name it with --home.

    The same command again, also after a crash, goes on where it stopped.

    \b
    Examples:
      oriel run
      oriel run --events orders.csv --time-zone Europe/London --currency GBP
      oriel --home .oriel run --events orders.csv --as-of 2025-06-01 --out june
    """
    started = time.perf_counter()
    name = "simulator" if events is None else Path(events).name.split(".")[0]
    out = (out or _OUT / name).expanduser().absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"cannot write to {out}: {error.strerror}; choose --out") from error
    home = place.home_or(out / "workspace")
    uri, text = uri_of(events) if events else None, mappings.text_or_name(mapping)
    from app import main_job  # brings the report's drawing library with it

    _make_workspace(home, mappings.demo_workspace(text, currency, time_zone), place)
    job = MainJob(
        events=uri or str(main_job.simulated_events(out, seed=seed, users=users)),
        mapping=text if events else "segment",
        source=source if events else "simulator",
        as_of=as_of.date() if as_of else None,
        seed=seed,
        is_simulated=events is None,
    )
    with open_session(home, "oriel run") as channel, console.stages() as stages:
        result = main_job.carry_out(channel, job, out, stages, home=home, keep_ids=keep_ids)
    main_job.tell(result, home=home, seconds=time.perf_counter() - started)


def _make_workspace(home: Home, settings: WorkspaceSettings, place: Place) -> None:
    if home.settings_file.exists() or service_addresses():
        return  # services that run already have their workspace
    settings.save(home.settings_file)
    if place.path:
        console.warn(
            f"{home.path} was no workspace; made one with the public demonstration key "
            "(oriel init draws a secret one)"
        )
