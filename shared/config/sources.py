"""What a prediction file asks about: users, products, images, tables, texts, or sessions."""

from typing import Literal

from shared.config import strict

SourceKind = Literal["users", "products", "images", "table", "sessions"]


def source_of(text: str) -> SourceKind:
    """Return what the text of a prediction file asks about; texts are rows of a table too.

    Raises:
        InvalidArgumentError: It is not YAML.

    >>> source_of("source: {text: reviews, columns: [title]}"), source_of("horizon: 90d")
    ('table', 'users')
    >>> source_of("target: {kind: next_product}"), source_of("source: {sessions: visits}")
    ('products', 'sessions')
    """
    content = strict.document(text)
    if not isinstance(content, dict) or "source" not in content:
        target = content.get("target") if isinstance(content, dict) else None
        is_products = isinstance(target, dict) and target.get("kind") == "next_product"
        return "products" if is_products else "users"
    source = content["source"]
    if isinstance(source, dict) and "sessions" in source:
        return "sessions"
    is_table = isinstance(source, dict) and bool({"table", "text"} & set(source))
    return "table" if is_table else "images"
