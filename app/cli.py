"""The `oriel` command."""

import signal
import sys
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import click

from app.commands.bus import bus
from app.commands.compare import compare
from app.commands.events import ingest, rejects, replay
from app.commands.keys import keys
from app.commands.mapping import mappings
from app.commands.place import Place
from app.commands.predict import predict
from app.commands.prediction import prediction
from app.commands.run import run
from app.commands.runs import runs
from app.commands.score import audit, score
from app.commands.train import train
from app.commands.up import up
from app.commands.workspace import doctor, init, show_version
from app.failures import ExitCode, exit_code_of, two_lines
from shared.errors import DomainError

_EPILOG = """\b
Exit codes:
  0  done
  1  a bug in Oriel; see the log in the workspace's folder
  2  a wrong option, file, column or mapping
  3  something must change first: too little data, folder held, no workspace
  4  ingest or replay finished and some rows were rejected

\b
Start here:
  oriel run                          the whole job on a simulated shop
  oriel ingest orders.csv --dry-run  what your file looks like to Oriel
  oriel run --events orders.csv      the whole job on your file
"""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="ORIEL_HOME",
    help="Folder of the workspace; also ORIEL_HOME.  [default: ./.oriel]",
)
@click.version_option(version("oriel"), prog_name="oriel")
@click.pass_context
def cli(context: click.Context, home: Path | None) -> None:
    """Say of every customer what happens next, why, and how far to trust it.

    Oriel takes the events of a shop or app, learns from them on this machine, and predicts who
    buys in the next 90 days, what they spend and in which value segment they will be.
    """
    context.obj = Place(home)


for command in (
    init,
    ingest,
    rejects,
    replay,
    mappings,
    prediction,
    run,
    train,
    runs,
    compare,
    predict,
    up,
    score,
    bus,
    keys,
    doctor,
    show_version,
):
    cli.add_command(command)
bus.add_command(audit)


def main() -> None:
    """Run the command line; errors are told in two lines and by the exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; the same command goes on from here", err=True)
        code = ExitCode.INTERRUPTED
    except DomainError as error:
        what, mend = two_lines(error)
        click.echo(f"error: {what}\n  try: {mend}", err=True)
        code = exit_code_of(error)
    except Exception as error:  # noqa: BLE001 - the last door: a person gets two lines, the log all
        click.echo(f"error: internal error ({type(error).__name__})", err=True)
        click.echo("  try: look into the workspace's logs folder; it has the details", err=True)
        code = ExitCode.INTERNAL
    sys.exit(int(code or 0))


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    click.echo("stopped; the same command goes on from here", err=True)
    raise SystemExit(int(ExitCode.TERMINATED))
