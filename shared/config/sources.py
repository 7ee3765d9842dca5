"""What a prediction file asks about: users, images, the rows of a table, or texts."""

from typing import Literal

from shared.config import strict

SourceKind = Literal["users", "images", "table"]


def source_of(text: str) -> SourceKind:
    """Return what the text of a prediction file asks about; texts are rows of a table too.

    Raises:
        InvalidArgumentError: It is not YAML.

    >>> source_of("source: {text: reviews, columns: [title]}"), source_of("horizon: 90d")
    ('table', 'users')
    """
    content = strict.document(text)
    if not isinstance(content, dict) or "source" not in content:
        return "users"
    source = content["source"]
    is_table = isinstance(source, dict) and bool({"table", "text"} & set(source))
    return "table" if is_table else "images"
