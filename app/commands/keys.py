"""Commands on the keys of those who send over HTTP: keys add, list, revoke."""

import click

from app import console
from app.commands.place import Place
from shared.config.home import WorkspaceSettings
from shared.config.write_keys import WriteKeys


@click.group()
def keys() -> None:
    """Say who may send events over HTTP: make, list and revoke write keys.

    A running server hears of every change at once.

    \b
    Examples:
      oriel keys add website
      oriel keys list
    """


@keys.command()
@click.argument("source")
@click.pass_obj
def add(place: Place, source: str) -> None:
    """Make a write key for SOURCE, such as website, and print it.

    The key is shown this once; the workspace keeps a hash of it. A source may have several keys,
    so that a new one can be in use before the old one is revoked.

    \b
    Examples:
      oriel keys add website
      WRITE_KEY=$(oriel keys add website)
    """
    WorkspaceSettings.load(place.home.settings_file)
    console.say(WriteKeys(place.home.write_keys_file).add(source))
    console.warn(f"This write key of {source} is not shown again.")


@keys.command("list")
@click.pass_obj
def list_keys(place: Place) -> None:
    """List the write keys: id, source and day, never the key."""
    WorkspaceSettings.load(place.home.settings_file)
    found = WriteKeys(place.home.write_keys_file).all()
    if not found:
        console.say("no write keys yet; make one with oriel keys add SOURCE")
        return
    rows = [(key.id, key.source, key.created.isoformat()) for key in found]
    console.table("", ("id", "source", "created"), rows)


@keys.command()
@click.argument("key_id")
@click.pass_obj
def revoke(place: Place, key_id: str) -> None:
    """Take the write key with this id away; what it sent stays."""
    WorkspaceSettings.load(place.home.settings_file)
    gone = WriteKeys(place.home.write_keys_file).revoke(key_id)
    console.say(f"revoked {gone.id} of {gone.source}")
