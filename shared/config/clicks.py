"""Prediction files about sessions of clicks: where they lie, and what is asked of them.

>>> text = '''
... name: next_click
... source: {sessions: shop, session: visit, position: step, item: product}
... target: {kind: next_click}
... '''
>>> question = parse_click_prediction(text)
>>> question.path, question.session, question.position, question.item
('shop', 'visit', 'step', 'product')
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared.config import strict

KIND = "next_click"

_KEYS = ("name", "source", "target", "model")
_REQUIRED = ("name", "source", "target")
_COLUMNS = ("session", "position", "item")
_OF_OTHERS = ("horizon", "as_of", "eligible", "folds", "features", "id", "exclude", "columns")


@dataclass(frozen=True, kw_only=True)
class ClickPrediction:
    """Which item comes next in a session?"""

    name: str
    path: str
    """File or folder of the clicks; relative to where the data lies until `located_clicks`."""
    session: str
    """Column that names the session of a click."""
    position: str
    """Column that puts the clicks of a session in order: a number or a time."""
    item: str
    """Column that names what was clicked on."""
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "candidates"})


def parse_click_prediction(text: str) -> ClickPrediction:
    """Read the YAML text of a prediction file about sessions of clicks.

    Raises:
        InvalidArgumentError: Something is unknown, missing or out of range; the message names
            the field and what it may be.
    """
    content = strict.document(text)
    for key in _OF_OTHERS:
        if isinstance(content, dict) and key in content:
            raise strict.refusal(
                key, "a file about sessions has none: every click from the third on is asked about"
            )
    values = strict.mapping("", content, _KEYS)
    strict.require(values, _REQUIRED)
    if strict.mapping("target", values["target"], ("kind",)).get("kind") != KIND:
        raise strict.refusal("target.kind", f"a file about sessions asks for {KIND!r}")
    source = strict.mapping("source", values["source"], ("sessions", *_COLUMNS))
    named = {key: _text(source, key) for key in ("sessions", *_COLUMNS)}
    columns = [named[key] for key in _COLUMNS]
    for place, column in enumerate(columns):
        if column in columns[:place]:
            first = _COLUMNS[columns.index(column)]
            raise strict.refusal(
                f"source.{_COLUMNS[place]}",
                f"column {column!r} is already named in source.{first}",
            )
    optional = {"model": strict.model(values["model"])} if "model" in values else {}
    return ClickPrediction(
        name=strict.name(values["name"]),
        path=named["sessions"],
        session=named["session"],
        position=named["position"],
        item=named["item"],
        **optional,
    )


def located_clicks(text: str, data: Path) -> str:
    """Return the text with the place of its clicks below `data` made absolute.

    Args:
        text: A prediction file about sessions.
        data: Absolute folder that the file's own is relative to.

    Raises:
        InvalidArgumentError: As `parse_click_prediction`.
    """
    question = parse_click_prediction(text)
    content = strict.document(text)
    content["source"] = {**content["source"], "sessions": str(data / question.path)}
    return yaml.safe_dump(content, sort_keys=False)


def _text(source: Mapping[str, Any], key: str) -> str:
    if key not in source:
        raise strict.refusal(f"source.{key}", "it is required")
    value = source[key]
    if not isinstance(value, str) or not value:
        wanted = "a file or a folder" if key == "sessions" else "a column"
        raise strict.refusal(f"source.{key}", f"{value!r} must be the name of {wanted}")
    return value
