"""Decides what becomes of each row of a block, and takes in those that count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shared.features.online.block import EventBlock
from shared.features.online.days import LocalDays
from shared.features.online.outcomes import (
    Applied,
    Keys,
    Mask,
    OnlineSettings,
    Outcome,
    Outcomes,
    Whole,
)
from shared.features.online.plan import Plan
from shared.features.online.seen import NEVER, SeenIds, id_digests
from shared.features.online.state import State

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Edges:
    """Pairs of keys that one message named together."""

    from_keys: Keys
    to_keys: Keys
    event_ms: Whole

    def filter(self, chosen: Mask) -> "Edges":
        """Return some of the edges."""
        return Edges(self.from_keys[chosen], self.to_keys[chosen], self.event_ms[chosen])


def edges_of(batch: pa.RecordBatch) -> Edges:
    """Read rows of `identity`."""
    times = batch.column("event_time").cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
    one, other = (batch.column(name).to_numpy() for name in ("from_key", "to_key"))
    return Edges(one, other, times.to_numpy())


@dataclass
class Changes:
    """What a snapshot has to write since the one before."""

    slots: list[Whole] = field(default_factory=list)
    edges: list[tuple[int, int, int]] = field(default_factory=list)
    digests: list[Keys] = field(default_factory=list)
    has_turned: bool = False
    products_before: int = 0


class Updater:
    """The state of a partition with what it takes to go on from it.

    Args:
        plan: Which state is kept.
        settings: Zone and lateness.
    """

    def __init__(self, plan: Plan, settings: OnlineSettings) -> None:
        self.state = State(plan, LocalDays(settings.zone))
        self.seen = SeenIds(settings.lateness_ms + _DAY_MS)
        self.watermark_ms = NEVER
        self.offsets: dict[str, int] = {}
        self.changes = Changes()
        self._lateness_ms = settings.lateness_ms

    def apply(
        self,
        batch: pa.RecordBatch,
        offsets: Mapping[str, int],
        edges: pa.RecordBatch | None = None,
        *,
        is_history: bool = False,
    ) -> Applied:
        """Take a block in.

        Args:
            batch: Rows of `events` in the order in which they arrived.
            offsets: Of each stream, the offset that follows the block.
            edges: Rows of `identity` that these messages make; None makes one of each row that
                names a user and a visitor.
            is_history: Whether rows may be of any age, as in a rebuild.
        """
        block = EventBlock(batch)
        digests = id_digests(block.message_ids)
        named, outcomes_of = self._named(block, digests, edges)
        outcomes = self._outcomes(block, digests, is_history=is_history)
        named_outcomes = outcomes_of(outcomes)
        is_late = outcomes == Outcome.LATE
        if is_late.any():
            late = named.filter(named_outcomes == Outcome.LATE)
            self._mark(np.concatenate([block.keys[is_late], late.from_keys, late.to_keys]))
        self.join(named.filter(named_outcomes == Outcome.APPLIED))
        is_applied = outcomes == Outcome.APPLIED
        if is_applied.any():
            chosen = block.filter(is_applied)
            slots = self.state.slots(chosen.keys)
            self.state.add(chosen, slots)
            self.changes.slots.append(slots)
        self.offsets.update(offsets)
        return Applied(outcomes)

    def join(self, edges: Edges) -> None:
        """Take in who is one person."""
        if len(edges.event_ms):
            one, other = (self.state.slots(each) for each in (edges.from_keys, edges.to_keys))
            self.changes.edges += self.state.persons.join(one, other, edges.event_ms)

    def _named(
        self, block: EventBlock, digests: Keys, batch: pa.RecordBatch | None
    ) -> tuple[Edges, Callable[[Outcomes], Outcomes]]:
        """Return the edges of a block, and what says of each what became of its message."""
        if batch is None:
            users, visitors = block.user_keys, block.anonymous_keys
            rows = np.flatnonzero((users != 0) & (visitors != 0) & (users != visitors))
            named = Edges(visitors[rows], users[rows], block.times_ms[rows])
            return named, lambda outcomes: outcomes[rows]
        ids = id_digests(batch.column("message_id"))
        wanted, first = np.unique(digests, return_index=True)
        places = np.minimum(np.searchsorted(wanted, ids), max(len(wanted) - 1, 0))
        is_here = wanted[places] == ids if len(wanted) else np.zeros(len(ids), np.bool_)
        # A message without a row in the block counts unless it arrived before.
        alone = np.where(self.seen.contains(ids), Outcome.DUPLICATE, Outcome.APPLIED)

        def outcomes_of(outcomes: Outcomes) -> Outcomes:
            found = alone.astype(np.uint8)
            found[is_here] = outcomes[first[places[is_here]]]
            return found

        return edges_of(batch), outcomes_of

    def _outcomes(self, block: EventBlock, digests: Keys, *, is_history: bool) -> Outcomes:
        is_again = _again(digests) | self.seen.contains(digests)
        # An event from the future does not make all others late: its arrival bounds what it says.
        clock = np.minimum(block.times_ms, block.ingest_ms)
        marks = np.maximum.accumulate(np.concatenate([[self.watermark_ms], clock]))
        is_late = block.times_ms < marks[:-1] - self._lateness_ms
        outcomes = np.full(len(block), Outcome.APPLIED, np.uint8)
        if not is_history:
            outcomes[is_late] = Outcome.LATE
        outcomes[block.keys == 0] = Outcome.ANONYMOUS
        outcomes[is_again] = Outcome.DUPLICATE
        self._advance(int(marks[-1]))
        fresh = digests[~is_again]
        self.seen.add(fresh)
        self.changes.digests.append(fresh)
        return outcomes

    def _advance(self, watermark_ms: int) -> None:
        if watermark_ms == NEVER:
            return
        self.watermark_ms = watermark_ms
        self.state.settle(watermark_ms - self._lateness_ms)
        if self.seen.turn(watermark_ms):
            self.changes.has_turned = True

    def _mark(self, keys: Keys) -> None:
        slots = self.state.slots(keys[keys != 0])
        self.state.is_stale[slots] = True
        self.changes.slots.append(slots)


def _again(digests: Keys) -> Mask:
    """Say of each id whether it came before in the block."""
    is_again = np.ones(len(digests), np.bool_)
    is_again[np.unique(digests, return_index=True)[1]] = False
    return is_again
