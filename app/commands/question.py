"""What a PREDICTION argument names: a file, or one that comes with Oriel."""

from pathlib import Path

import click

from shared.config.clicks import located_clicks
from shared.config.images import located
from shared.config.prediction import shipped_text
from shared.config.sources import source_of
from shared.config.table import located_table

DATA_HELP = "Folder that what the file reads lies in.  [default: the current folder]"


def question_text(prediction: str, data: Path, epochs: int | None = None) -> str:
    """Return the text of a prediction file, the place of what it reads made absolute.

    Args:
        prediction: Path of a file, or name of one that comes with Oriel.
        data: Folder that the file's own is relative to.
        epochs: Passes over images, instead of the file's.
    """
    file = Path(prediction)
    is_file = file.is_file()
    # What is no text at all is then refused as no YAML.
    text = file.read_text("utf-8", "replace") if is_file else shipped_text(prediction)
    folder, kind = data.expanduser().absolute(), source_of(text)
    if kind == "images":
        return located(text, folder, epochs)
    if epochs is not None:
        raise click.UsageError(f"--epochs is for images; {prediction} asks of {kind}")
    if kind == "sessions":
        return located_clicks(text, folder)
    return located_table(text, folder) if kind == "table" else text
