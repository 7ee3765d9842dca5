"""What the use cases are told at the start."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from services.ingestion.domain.mapping import Mapping, SourceKind
from services.ingestion.domain.rules import Rules
from services.ingestion.usecases.event_intake import EventIntake
from services.ingestion.usecases.letters import LetterBox
from services.ingestion.usecases.memory import Memory, Stores
from services.ingestion.usecases.order_intake import OrderIntake
from services.ingestion.usecases.ports import Intake, Sources
from shared.errors import InvalidArgumentError


@dataclass(frozen=True)
class Circumstances:
    """The workspace, and the clock."""

    stores: Stores
    sources: Sources
    currency: str
    time_zone: str
    now_milliseconds: Callable[[], int]

    def rules(self, mapping: Mapping, *, is_live: bool = False) -> Rules:
        """Return the rules for rows of a mapping that are taken in now.

        Raises:
            InvalidArgumentError: The mapping's money is not the workspace's.
        """
        if mapping.currency and mapping.currency != self.currency:
            raise InvalidArgumentError(
                f"the mapping's currency is {mapping.currency}, the workspace's {self.currency}; "
                "convert the file, or make a workspace of that currency with `oriel init`",
                reason="WRONG_CURRENCY",
                currency=mapping.currency,
                workspace_currency=self.currency,
            )
        zone = mapping.time_zone or self.time_zone
        return Rules(mapping, zone, self.now_milliseconds(), is_live)

    def intake(
        self, rules: Rules, memory: Memory, letters: LetterBox, pool: Executor | None = None
    ) -> Intake:
        """Return what takes rows of a kind in; with a pool, storing goes on beside checking."""
        if rules.mapping.kind is SourceKind.ORDERS:
            return OrderIntake(self.stores, rules, memory, letters)
        return EventIntake(self.stores, rules, memory, letters, pool)
