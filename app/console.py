"""What people see: results on standard output, progress on standard error."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from oriel.common.v1 import common_pb2


def say(text: str = "") -> None:
    """Print a line that scripts may read; never wrapped."""
    click.echo(text)


def warn(text: str) -> None:
    """Print a line for people beside the results."""
    click.echo(text, err=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers to the right."""
    shown = Table(title=title or None, title_justify="left", header_style="bold", box=None)
    for index, column in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        shown.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(number(value)) for value in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(shown)


def facts(rows: Sequence[tuple[str, object]]) -> None:
    """Print pairs of a name and a value, one a line."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:<{width}}  {number(value)}")


def number(value: object) -> str:
    """Return a value for people.

    >>> number(1234567), number(None), number("12")
    ('1,234,567', '-', '12')
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S %Z}"
    return str(value)


def money(micros: int, currency: str) -> str:
    """Return an amount for people.

    >>> money(1_234_567_890, "GBP")
    '1,234.57 GBP'
    """
    return f"{micros / 1e6:,.2f} {currency}"


class Stages:
    """One progress bar for each stage of a command."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, stage: str, progress: common_pb2.Progress) -> None:
        """Show how far a stage has come."""
        total = progress.total_count or None
        note = progress.message or progress.unit
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note=note)
        self._progress.update(
            self._tasks[stage], completed=progress.completed_count, total=total, note=note
        )

    def end(self, stage: str, note: str) -> None:
        """Show that a stage is done."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=1, note=note)
        self._progress.update(self._tasks[stage], completed=1, total=1, note=note)
        self._progress.stop_task(self._tasks[stage])


@contextmanager
def stages() -> Iterator[Stages]:
    """Show progress bars while the block runs."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=28),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    if not console.is_terminal:
        console = Console(stderr=True, width=120)
    with Progress(*columns, console=console) as progress:
        yield Stages(progress)
