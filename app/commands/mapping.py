"""What `--mapping` names: a built-in mapping or a file."""

from importlib.resources import files
from pathlib import Path

import click
import yaml

from app import console
from shared.config.home import DEMO_PSEUDONYM_KEY, WorkspaceSettings

HELP = (
    "Name of a built-in mapping (see `oriel mappings`) or a mapping file; detected when left out."
)


def text_or_name(mapping: str | None) -> str:
    """Return the text of a mapping file, or the name as given."""
    if not mapping:
        return ""
    path = Path(mapping)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"cannot read the mapping file {mapping!r}: {error}") from error
    return mapping


def demo_workspace(
    text: str, currency: str | None = None, time_zone: str | None = None
) -> WorkspaceSettings:
    """Return the settings of a workspace that a command makes for itself.

    Args:
        text: Of a mapping file, which may name currency and time zone; or any other text.
        currency: Goes before the mapping's.
        time_zone: Goes before the mapping's.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        values = {}  # the service says what is wrong with it
    named = values if isinstance(values, dict) else {}
    return WorkspaceSettings(
        pseudonym_key=DEMO_PSEUDONYM_KEY,
        currency=str(currency or named.get("currency") or "USD").upper(),
        time_zone=str(time_zone or named.get("time_zone") or "UTC"),
    )


@click.command()
@click.argument("name", required=False)
def mappings(name: str | None) -> None:
    """List the built-in mappings, or print one to start your own from.

    A mapping says which column of a file is the order, the customer, the time, the price. Oriel
    detects the built-in one that fits; write your own where none does.

    \b
    Examples:
      oriel mappings
      oriel mappings order_lines > ours.yaml
      oriel ingest orders.csv --mapping ours.yaml --dry-run
    """
    folder = files("services.ingestion") / "mappings"
    texts = {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    }
    if name is None:
        width = max(len(each) for each in texts)
        for each in sorted(texts):
            console.say(f"{each:<{width}}  {texts[each].splitlines()[0].lstrip('# ')}")
        return
    if name not in texts:
        raise click.UsageError(
            f"no built-in mapping {name!r}; there are {', '.join(sorted(texts))}"
        )
    console.say(texts[name].rstrip("\n"))
