"""CloudEvents 1.0 in Kafka's binary mode, and the W3C trace they belong to."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.bus.port import Headers

JSON = "application/json"

_TRACE = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class CloudEvent:
    """What the headers of a message say of it; empty where they say nothing."""

    id: str
    """Unique with the source: the same event sent twice has it twice."""
    source: str
    type: str
    """Such as com.segment.track or oriel.prediction."""
    time: datetime | None = None
    subject: str = ""
    trace: str = ""
    """`traceparent` of the trace it belongs to; messages that it causes carry the same trace id."""
    content_type: str = JSON

    def headers(self) -> list[tuple[str, bytes]]:
        """Return it as headers of a message."""
        named = {
            "ce_specversion": "1.0",
            "ce_id": self.id,
            "ce_source": self.source,
            "ce_type": self.type,
            "ce_time": self.time.astimezone(UTC).isoformat() if self.time else "",
            "ce_subject": self.subject,
            "content-type": self.content_type,
            "traceparent": self.trace or new_trace(),
        }
        return [(name, value.encode()) for name, value in named.items() if value]


def cloud_event(headers: Headers) -> CloudEvent:
    """Read what headers say; those that are no CloudEvent give empty parts.

    >>> cloud_event([("ce_id", b"7"), ("ce_source", b"till")]).source
    'till'
    """
    texts = header_texts(headers)
    trace = texts.get("traceparent", "")
    return CloudEvent(
        id=texts.get("ce_id", ""),
        source=texts.get("ce_source", ""),
        type=texts.get("ce_type", ""),
        time=_time(texts.get("ce_time", "")),
        subject=texts.get("ce_subject", ""),
        trace=trace if _TRACE.fullmatch(trace) else "",
        content_type=texts.get("content-type", ""),
    )


def header_texts(headers: Headers) -> Mapping[str, str]:
    """Return headers as text, the last of each name; bytes that are no text are shown."""
    return {name: value.decode("utf-8", "backslashreplace") for name, value in headers}


def new_trace() -> str:
    """Start a trace that is recorded."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child_trace(trace: str) -> str:
    """Return a further step of a trace, or the first of a new one where there is none.

    >>> child_trace("00-" + "a" * 32 + "-" + "b" * 16 + "-01")[:36]
    '00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-'
    """
    if not _TRACE.fullmatch(trace):
        return new_trace()
    version, trace_id, _, flags = trace.split("-")
    return f"{version}-{trace_id}-{secrets.token_hex(8)}-{flags}"


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
