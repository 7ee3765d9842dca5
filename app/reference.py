"""The reference page of the command line: `python -m app.reference > docs/reference/cli.md`."""

from collections.abc import Iterator

import click

from app.cli import cli
from app.failures import MEANINGS

_HEAD = """# The `oriel` command

Written by `python -m app.reference` from the commands themselves; a test keeps it fresh.

`oriel [--home DIR] COMMAND …`: the workspace is `--home`, else `ORIEL_HOME`, else `./.oriel`. Every
command is a gRPC client: where the environment names [services that run as
processes](../how-to/run-as-processes.md) it talks to those, where a running `oriel` holds the
workspace to that one, else it starts the services in its own process for as long as it needs them.

## Exit codes

| code | meaning |
|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    codes = "".join(f"| {code.value} | {text} |\n" for code, text in MEANINGS.items())
    parent = cli.make_context("oriel", [], resilient_parsing=True)
    return _HEAD + codes + "\n" + "\n".join(_sections(cli, parent))


def _sections(group: click.Group, parent: click.Context) -> Iterator[str]:
    for name in sorted(group.commands):
        command = group.commands[name]
        context = click.Context(command, info_name=name, parent=parent, terminal_width=100)
        yield f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
        if isinstance(command, click.Group):
            yield from _sections(command, context)


if __name__ == "__main__":
    click.echo(page(), nl=False)
