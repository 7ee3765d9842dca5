"""The declared topics of a workspace, read strictly."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.config import strict
from shared.errors import InvalidArgumentError

DECLARATION = Path(__file__).resolve().parents[2] / "infra" / "kafka" / "topics.yaml"
"""The shipped declaration; Oriel is run from its checkout."""

_KEYS = ("name", "holds", "partitions", "replicas", "cleanup", "retention", "message_bytes")
_NEEDED = ("name", "holds", "partitions", "cleanup", "message_bytes")
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_CLEANUPS = ("delete", "compact")
_RETENTION = re.compile(r"(\d{1,5})([hd])")
_HOUR_MILLISECONDS = 3_600_000


@dataclass(frozen=True)
class Topic:
    """A topic as it is declared."""

    name: str
    """Without the workspace's prefix."""
    holds: str
    """What its messages are."""
    partitions: int
    cleanup: str
    """delete drops what is older than the retention; compact keeps the last of each key."""
    message_bytes: int
    retention_milliseconds: int | None = None
    replicas: int | None = None
    """None leaves it to the cluster."""

    def settings(self) -> dict[str, str]:
        """Return the settings of the topic as Kafka names them."""
        settings = {"cleanup.policy": self.cleanup, "max.message.bytes": str(self.message_bytes)}
        if self.retention_milliseconds is not None:
            settings["retention.ms"] = str(self.retention_milliseconds)
        return settings


def parse_topics(text: str) -> list[Topic]:
    """Read a declaration.

    Raises:
        InvalidArgumentError: A key is unknown, missing or has a wrong value; names which.
    """
    try:
        tree = strict.document(text)
    except InvalidArgumentError as error:
        raise _refusal("", str(error.__cause__)) from error
    _check_keys("", tree, ("topics",), ("topics",))
    if not isinstance(tree["topics"], list) or not tree["topics"]:
        raise _refusal("topics", "must be a list of topics")
    topics = [_topic(f"topics[{place}]", value) for place, value in enumerate(tree["topics"])]
    names = [topic.name for topic in topics]
    for name in names:
        if names.count(name) > 1:
            raise _refusal("topics", f"{name} is declared twice")
    return topics


def _topic(where: str, value: Any) -> Topic:
    _check_keys(where, value, _KEYS, _NEEDED)
    name = value["name"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _refusal(f"{where}.name", f"{name!r} must be lower case words joined by '.'")
    where = f"{where} ({name})"
    if not isinstance(value["holds"], str) or not value["holds"].strip():
        raise _refusal(f"{where}.holds", "must say what the messages are")
    if value["cleanup"] not in _CLEANUPS:
        raise _refusal(f"{where}.cleanup", f"{value['cleanup']!r} must be delete or compact")
    if (value["cleanup"] == "delete") != ("retention" in value):
        raise _refusal(f"{where}.retention", "belongs to cleanup: delete, and is needed there")
    return Topic(
        name=name,
        holds=value["holds"],
        partitions=_whole(f"{where}.partitions", value["partitions"], 1, 10_000),
        cleanup=value["cleanup"],
        message_bytes=_whole(f"{where}.message_bytes", value["message_bytes"], 1_024, 64 << 20),
        retention_milliseconds=(
            _retention(f"{where}.retention", value["retention"]) if "retention" in value else None
        ),
        replicas=(
            _whole(f"{where}.replicas", value["replicas"], 1, 9) if "replicas" in value else None
        ),
    )


def _check_keys(where: str, value: Any, known: tuple[str, ...], needed: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise _refusal(where, f"must be a mapping with the keys {', '.join(known)}")
    for key in value:
        if key not in known:
            raise _refusal(where, strict.unknown(str(key), known))
    for key in needed:
        if key not in value:
            raise _refusal(where, f"{key} is required")


def _whole(where: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _refusal(where, f"{value!r} must be a whole number between {least} and {most}")
    return value


def _retention(where: str, value: Any) -> int:
    match = _RETENTION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not int(match[1]):
        raise _refusal(where, f"{value!r} must be hours or days, such as 36h or 14d")
    return int(match[1]) * (24 if match[2] == "d" else 1) * _HOUR_MILLISECONDS


def _refusal(where: str, problem: str) -> InvalidArgumentError:
    place = f"topics file, {where}" if where else "topics file"
    return InvalidArgumentError(
        f"{place}: {problem}", reason="TOPICS_FILE_INVALID", field=where or "topics"
    )
