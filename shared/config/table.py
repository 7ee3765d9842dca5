"""Prediction files about tables without time and about texts: which rows, what is asked of them.

>>> text = '''
... name: bank
... source: {table: bank_marketing}
... target: {kind: column, column: y, positive: "yes"}
... exclude: {duration: known only after the call}
... '''
>>> question = parse_table_prediction(text)
>>> question.path, question.target.column, dict(question.exclude)
('bank_marketing', 'y', {'duration': 'known only after the call'})
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from shared.config import strict
from shared.config.search import OF_TABLES, Search, parse_search

ColumnKind = Literal["number", "flag", "category"]
"""How a column is read: an amount, yes or no, or one of some words."""

KEYS = ("name", "source", "target", "id", "exclude", "columns", "folds", "model", "search")
_REQUIRED = ("name", "source", "target")
_OF_USERS = ("horizon", "as_of", "eligible", "features")
_TARGET_OF = {"table": "column", "text": "sentiment"}
_LEAST_FOLDS, _MOST_FOLDS = 2, 20
_MOST_REASON = 200


@dataclass(frozen=True)
class TableTarget:
    """What is asked of a row.

    Args:
        column: Column that holds the answer.
        positive: The value of it whose probability is wanted; all others are the opposite.
    """

    column: str
    positive: str


@dataclass(frozen=True, kw_only=True)
class TablePrediction:
    """How probable is an answer for a row of a table?"""

    name: str
    path: str
    """File or folder of the rows; relative to where the data lies until `located_table`."""
    target: TableTarget
    texts: tuple[str, ...] = ()
    """Columns read as text, the short one first; none for a table of other columns."""
    id: str | None = None
    """Column that names a row, or whom a row is about: rows of one name stay together."""
    exclude: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not used, each with its reason."""
    columns: Mapping[str, ColumnKind] = field(default_factory=dict)
    """Columns that are something else than they look like."""
    folds: int = 5
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "mlp"})
    search: Search = field(default_factory=Search)


def parse_table_prediction(text: str) -> TablePrediction:
    """Read the YAML text of a prediction file about a table or texts.

    Raises:
        InvalidArgumentError: Something is unknown, missing or out of range; the message names
            the field and what it may be.
    """
    content = strict.document(text)
    if isinstance(content, dict):
        _require_timeless(content)
    values = strict.mapping("", content, KEYS)
    strict.require(values, _REQUIRED)
    kind, path, texts = _source(values["source"])
    target = _target(values["target"], kind)
    name = _column("id", values["id"]) if "id" in values else None
    exclude = _exclude(values.get("exclude", {}))
    columns = _columns(values.get("columns", {}))
    if kind == "text":
        for key in ("exclude", "columns"):
            if key in values:
                raise strict.refusal(key, "texts are read from source.columns only; leave it out")
        if "search" in values:
            raise strict.refusal("search", "settings of a model of texts are not searched for")
    _require_one_use(target, name, exclude, columns, texts)
    default = {"type": "text_lstm"} if kind == "text" else {"type": "mlp"}
    return TablePrediction(
        name=strict.name(values["name"]),
        path=path,
        target=target,
        texts=texts,
        id=name,
        exclude=exclude,
        columns=columns,
        folds=strict.whole("folds", values.get("folds", 5), _LEAST_FOLDS, _MOST_FOLDS),
        model=strict.model(values["model"]) if "model" in values else default,
        search=parse_search(values.get("search", {}), OF_TABLES),
    )


def located_table(text: str, data: Path) -> str:
    """Return the text with the place of its rows below `data` made absolute.

    Args:
        text: A prediction file about a table or texts.
        data: Absolute folder that the file's own is relative to.

    Raises:
        InvalidArgumentError: As `parse_table_prediction`.
    """
    question = parse_table_prediction(text)
    content = strict.document(text)
    key = "text" if "text" in content["source"] else "table"
    content["source"] = {**content["source"], key: str(data / question.path)}
    return yaml.safe_dump(content, sort_keys=False)


def canonical(value: Any) -> str:
    """A value of a cell or a file as the word that both are compared by.

    >>> canonical(True), canonical(1.0), canonical(" yes ")
    ('true', '1', 'yes')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _require_timeless(content: Mapping[Any, Any]) -> None:
    for key in _OF_USERS:
        if key in content:
            raise strict.refusal(
                key, "a file with a source has none: its rows have no users and no time"
            )


def _source(value: Any) -> tuple[str, str, tuple[str, ...]]:
    """Kind of the source, its path and its columns of text."""
    kind = "text" if isinstance(value, dict) and "text" in value else "table"
    keys = ("text", "columns") if kind == "text" else ("table",)
    values = strict.mapping("source", value, keys)
    path = values[kind]
    if not isinstance(path, str) or not path:
        raise strict.refusal(f"source.{kind}", "name the file or folder of the rows, such as bank")
    return kind, path, _texts(values.get("columns")) if kind == "text" else ()


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or len(value) > 2:
        raise strict.refusal(
            "source.columns", "name one column of text, or two: [title, review_text]"
        )
    return tuple(_column("source.columns", each) for each in value)


def _target(value: Any, kind: str) -> TableTarget:
    values = strict.mapping("target", value, ("kind", "column", "positive"))
    wanted = _TARGET_OF[kind]
    if values.get("kind") != wanted:
        raise strict.refusal("target.kind", f"a file with a {kind} asks for {wanted!r}")
    for key in ("column", "positive"):
        if key not in values:
            raise strict.refusal(f"target.{key}", "it is required")
    positive = values["positive"]
    if not isinstance(positive, str | bool | int | float):
        raise strict.refusal("target.positive", f"{positive!r} must be one value of the column")
    return TableTarget(_column("target.column", values["column"]), canonical(positive))


def _column(field_name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise strict.refusal(field_name, f"{value!r} must be the name of a column")
    return value


def _exclude(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise strict.refusal("exclude", "must be a mapping from columns to the reason for each")
    for column, reason in value.items():
        if not isinstance(reason, str) or not 0 < len(reason.strip()) <= _MOST_REASON:
            raise strict.refusal(
                f"exclude.{column}", f"say why in at most {_MOST_REASON} characters"
            )
    return {_column("exclude", column): reason.strip() for column, reason in value.items()}


def _columns(value: Any) -> Mapping[str, ColumnKind]:
    if not isinstance(value, dict):
        raise strict.refusal("columns", "must be a mapping from columns to what they are")
    kinds = get_args(ColumnKind)
    for column, kind in value.items():
        if kind not in kinds:
            raise strict.refusal(f"columns.{column}", strict.unknown(str(kind), kinds))
    return {_column("columns", column): kind for column, kind in value.items()}


def _require_one_use(
    target: TableTarget,
    name: str | None,
    exclude: Mapping[str, str],
    columns: Mapping[str, ColumnKind],
    texts: tuple[str, ...],
) -> None:
    uses = [("target.column", target.column), *(("source.columns", each) for each in texts)]
    uses += [("id", name)] if name else []
    uses += [("exclude", each) for each in exclude] + [("columns", each) for each in columns]
    seen: dict[str, str] = {}
    for place, column in uses:
        if column in seen:
            raise strict.refusal(place, f"column {column!r} is already named in {seen[column]}")
        seen[column] = place
