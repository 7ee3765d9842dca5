"""Resource names of models: `models/m`, `models/m/versions/3`, `models/m/aliases/champion`."""

import re
from dataclasses import dataclass

from shared.errors import InvalidArgumentError

_WORD = r"[a-z][a-z0-9_-]{0,62}"
_NAME = re.compile(
    rf"models/(?P<model>{_WORD})(?:/versions/(?P<number>[1-9][0-9]{{0,8}})|/aliases/(?P<alias>{_WORD}))?"
)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Reference:
    """What a resource name points at; neither number nor alias means the model itself."""

    model: str
    number: int | None = None
    alias: str | None = None


def parse(name: str) -> Reference:
    """Take a resource name apart.

    >>> parse("models/churn/versions/3")
    Reference(model='churn', number=3, alias=None)

    Raises:
        InvalidArgumentError: The name has another form.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise InvalidArgumentError(
            f"{name!r} is not the name of a model; write models/MODEL, models/MODEL/versions/3 "
            "or models/MODEL/aliases/champion, in lower case.",
            reason="MODEL_NAME_MALFORMED",
            name=name,
        )
    number = found["number"]
    return Reference(found["model"], int(number) if number else None, found["alias"])


def check_model(model: str) -> None:
    """Refuse a model name that cannot be a part of a resource name."""
    if re.fullmatch(_WORD, model) is None:
        raise InvalidArgumentError(
            f"{model!r} cannot name a model: use lower-case letters, digits, '-' and '_', "
            "beginning with a letter, at most 63.",
            reason="MODEL_NAME_MALFORMED",
            name=model,
        )


def check_file(file: str, reserved: str) -> None:
    """Refuse a file name that could leave the version's folder or shadow its manifest."""
    if _FILE.fullmatch(file) is None or file == reserved:
        raise InvalidArgumentError(
            f"{file!r} cannot be a file of a model version: use a plain name without folders, "
            f"other than {reserved}.",
            reason="MODEL_FILE_NAME_MALFORMED",
            file=file,
            reserved=reserved,
        )
