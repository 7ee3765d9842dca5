"""Names and keys that several services must form in the same way."""

from shared.names.pseudonym import anonymous_key, user_key

__all__ = ["anonymous_key", "user_key"]
