"""Figures of what the door stores, around the store itself."""

from collections.abc import Sequence

from services.console.usecases.ports import Ingester, Rejection
from shared.obs.metrics import CONSOLE_CALL_MESSAGES


class MeasuredIngester:
    """Counts how many messages go into a call."""

    def __init__(self, ingester: Ingester) -> None:
        self._ingester = ingester

    def ingest(self, messages: Sequence[bytes], source: str) -> Sequence[Rejection]:
        """See `Ingester.ingest`."""
        CONSOLE_CALL_MESSAGES.observe(len(messages))
        return self._ingester.ingest(messages, source)
