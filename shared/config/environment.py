"""What a deployment sets by environment variables: read once, at the start, all mistakes told."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shared.config.strict import unknown
from shared.errors import InvalidArgumentError

PREFIX = "ORIEL_"

Value = TypeVar("Value")


@dataclass(frozen=True)
class Variable(Generic[Value]):
    """One variable; all of them are listed in `shared.config.variables`."""

    name: str
    parse: Callable[[str], Value]
    """Turns its text into a value; a ValueError says what is wrong, never the text of a secret."""
    meaning: str
    """What it is, to go on from "it is …"; Markdown."""
    example: str
    """A right text."""
    default: str | None = None
    """Text that stands where it is not set; None where nothing does."""


class Environment:
    """The values of variables, by variable."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, variable: Variable[Value]) -> Value:
        """Return the value of a variable that was needed or has a default."""
        value: Value = self._values[variable.name]
        return value

    def get(self, variable: Variable[Value]) -> Value | None:
        """Return the value of a variable; None where it is not set."""
        return self._values.get(variable.name)


def read(
    environ: Mapping[str, str],
    variables: Sequence[Variable[Any]],
    needed: Collection[Variable[Any]] = (),
) -> Environment:
    """Read all variables strictly; one set to an empty text counts as not set.

    Args:
        environ: The environment of the process.
        variables: Every variable that may be set.
        needed: Those that must be.

    Raises:
        InvalidArgumentError: Variables are missing, wrong or unknown; the message names each, with
            how to mend it.
    """
    texts = {name: text for name, text in environ.items() if name.startswith(PREFIX) and text}
    values: dict[str, Any] = {}
    mistakes = list(_unknown(texts, variables))
    for variable in variables:
        text = texts.get(variable.name, variable.default)
        if text is None:
            if variable in needed:
                mistakes.append(
                    f"{variable.name} is not set: it is {variable.meaning}; "
                    f"set it, as in {variable.name}={variable.example}"
                )
            continue
        try:
            values[variable.name] = variable.parse(text)
        except ValueError as error:
            mistakes.append(
                f"{variable.name} is wrong: {error}; "
                f"write it as in {variable.name}={variable.example}"
            )
    if mistakes:
        raise InvalidArgumentError("\n".join(mistakes), reason="BAD_ENVIRONMENT")
    return Environment(values)


def _unknown(texts: Mapping[str, str], variables: Sequence[Variable[Any]]) -> Iterator[str]:
    names = [variable.name for variable in variables]
    for name in texts:
        if name not in names:
            yield f"{unknown(name, names)} Unset it or correct its name"
