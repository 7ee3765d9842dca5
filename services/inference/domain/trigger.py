"""Which events of a stream call for a prediction, and which predictions are told."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.inference.domain.prediction import Flags, Floats, Keys
from shared.config.stream import ANY_EVENT, StreamRule

Instants = NDArray[np.int64]


@dataclass(frozen=True)
class Told:
    """When a user was last told of, and on which side of the threshold."""

    time_ms: int
    is_above: bool


@dataclass
class Memory:
    """What was last told of each user of a partition."""

    told: dict[int, Told] = field(default_factory=dict)


def called(rule: StreamRule, names: Sequence[str]) -> Flags:
    """Say of each event whether its name calls for a prediction.

    >>> called(StreamRule(("Seen",)), ["Seen", "Bought"]).tolist()
    [True, False]
    """
    if ANY_EVENT in rule.events:
        return np.ones(len(names), np.bool_)
    wanted = frozenset(rule.events)
    return np.array([name in wanted for name in names], np.bool_)


def denied(rule: StreamRule, consents: Sequence[Sequence[tuple[str, bool]] | None]) -> Flags:
    """Say of each event whether its user denied what a prediction needs.

    >>> denied(StreamRule(("event",)), [[("ads", False)], [("ads", False), ("own", True)], []])
    array([ True, False, False])
    """
    return np.array([_is_denied(rule.consent, consent or ()) for consent in consents], np.bool_)


def basis(rule: StreamRule, consent: Sequence[tuple[str, bool]] | None) -> str:
    """Return on which consent a prediction rests, as it is logged.

    >>> basis(StreamRule(("event",)), [("own", True), ("ads", False)]), basis(StreamRule(()), None)
    ('granted: own', 'unstated')
    """
    granted = sorted(name for name, is_granted in consent or () if is_granted)
    if rule.consent:
        granted = [name for name in granted if name == rule.consent]
    return f"granted: {', '.join(granted)}" if granted else "unstated"


def _is_denied(category: str, consent: Sequence[tuple[str, bool]]) -> bool:
    if category:
        return any(name == category and not is_granted for name, is_granted in consent)
    return bool(consent) and not any(is_granted for _, is_granted in consent)


def due(rule: StreamRule, memory: Memory, keys: Keys, times_ms: Instants) -> Flags:
    """Say of each event that calls for a prediction whether its user's turn has come.

    Where predictions are told only as they cross a threshold, more may be due than `tell` tells.

    Args:
        rule: How often.
        memory: What was told before.
        keys: Whose event.
        times_ms: When each happened.
    """
    gap_ms = _gap_ms(rule)
    found = np.ones(len(keys), np.bool_)
    if not gap_ms:
        return found
    last: dict[int, int] = {}
    for place, (key, time_ms) in enumerate(zip(keys.tolist(), times_ms.tolist(), strict=True)):
        before = last.get(key)
        if before is None:
            told = memory.told.get(key)
            before = None if told is None else told.time_ms
        if before is not None and time_ms - before < gap_ms:
            found[place] = False
        elif rule.crosses is None:
            last[key] = time_ms
    return found


def tell(
    rule: StreamRule, memory: Memory, keys: Keys, times_ms: Instants, probabilities: Floats
) -> Flags:
    """Say of each prediction whether it is told, and remember those that are."""
    gap_ms = _gap_ms(rule)
    found = np.zeros(len(keys), np.bool_)
    columns = zip(keys.tolist(), times_ms.tolist(), probabilities.tolist(), strict=True)
    for place, (key, time_ms, probability) in enumerate(columns):
        before = memory.told.get(key)
        if before is not None and gap_ms and time_ms - before.time_ms < gap_ms:
            continue
        is_above = is_beyond(rule, probability)
        if rule.crosses is not None and is_above == (before is not None and before.is_above):
            continue
        found[place] = True
        if gap_ms or rule.crosses is not None:
            memory.told[key] = Told(time_ms, is_above)
    return found


def is_beyond(rule: StreamRule, probability: float) -> bool:
    """Say whether a probability lies on the upper side of the threshold."""
    return rule.crosses is not None and probability >= rule.crosses


def _gap_ms(rule: StreamRule) -> int:
    return round(rule.at_most_every.total_seconds() * 1000)
