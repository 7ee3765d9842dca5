"""What became of the messages of a partition; each is counted once."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Counts:
    """consumed = predicted + not_triggered + dead + late + duplicate + suppressed."""

    consumed: int = 0
    predicted: int = 0
    not_triggered: int = 0
    """Events that call for nothing, users whose turn has not come, tombstones."""
    dead: int = 0
    """No events; ingestion keeps their bytes."""
    late: int = 0
    """Older than is allowed: their features wait for a rebuild."""
    duplicate: int = 0
    suppressed: int = 0
    """The user denied consent."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        )

    @property
    def outcomes(self) -> dict[str, int]:
        """How many messages had each outcome."""
        return {name: count for name, count in vars(self).items() if name != "consumed"}

    @property
    def is_exact(self) -> bool:
        """Whether every message is accounted for."""
        return self.consumed == sum(self.outcomes.values())
