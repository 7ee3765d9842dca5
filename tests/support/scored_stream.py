"""Messages of a stream as they come to a shop, and an account of them kept in plain Python."""

import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

RULE = "{events: [Order Completed], at_most_every: 12h per user, consent: scores}"
"""What the account holds to."""

USERS, MESSAGES = 40, 1_200
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_START_MS = 1_700_000_000_000

Known = tuple[str, str, int, bool, float]
Sent = tuple[int, bytes, Known | None]


def sent(seed: int) -> list[Sent]:
    """Return messages in order, some broken, late or twice: user, bytes, what `expected` knows."""
    rng = random.Random(seed)
    found: list[Sent] = []
    ids: list[Sent] = []
    for number in range(MESSAGES):
        user = rng.randrange(USERS)
        clock = _START_MS + number * HOUR_MS
        chance = rng.random()
        if chance < 0.01:
            found.append((user, b'{"type": "track", ', None))
            continue
        if chance < 0.02 and ids:
            found.append(rng.choice(ids[-200:]))
            continue
        time_ms = clock - (rng.choice([1, 20, 30]) * DAY_MS if chance < 0.07 else 0)
        name = "Order Completed" if rng.random() < 0.5 else "Product Viewed"
        is_denied = rng.random() < 0.1
        value: dict[str, Any] = {
            "type": "track",
            "event": name,
            "messageId": f"m{number}",
            "userId": f"u{user}",
            "timestamp": _iso(time_ms),
            "properties": {"revenue": 10.0 + user} if name == "Order Completed" else {},
            "context": {"consent": {"categoryPreferences": {"scores": not is_denied}}},
        }
        known = (f"m{number}", name, time_ms, is_denied, 10.0 + user)
        found.append((user, json.dumps(value).encode(), known))
        ids.append(found[-1])
    return found


def _iso(time_ms: int) -> str:
    seconds, rest = divmod(time_ms, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


def expected(
    known_of_offset: Mapping[int, tuple[int, Known | None]],
) -> tuple[Counter[str], dict[int, tuple[float, int, float]]]:
    """Return counts and, by offset, the features of each prediction, of one partition."""
    seen: set[str] = set()
    orders: dict[int, list[tuple[int, float]]] = {}
    last: dict[int, int] = {}
    mark, counts = -(10**15), Counter(consumed=len(known_of_offset))
    predicted: dict[int, tuple[float, int, float]] = {}
    for offset, (user, known) in known_of_offset.items():
        if known is None:
            counts["dead"] += 1
            continue
        message_id, name, time_ms, is_denied, revenue = known
        is_late, is_again = time_ms < mark - 7 * DAY_MS, message_id in seen
        mark = max(mark, time_ms)
        seen.add(message_id)
        if is_again or is_late:
            counts["duplicate" if is_again else "late"] += 1
            continue
        if name == "Order Completed":
            orders.setdefault(user, []).append((time_ms, revenue))
        if name != "Order Completed":
            counts["not_triggered"] += 1
        elif is_denied:
            counts["suppressed"] += 1
        elif user in last and time_ms - last[user] < 12 * HOUR_MS:
            counts["not_triggered"] += 1
        else:
            last[user] = time_ms
            before = [each for each in orders[user] if each[0] <= time_ms]
            days = (time_ms + 1 - max(each[0] for each in before)) / DAY_MS
            predicted[offset] = (days, len(before), sum(each[1] for each in before))
            counts["predicted"] += 1
    return counts, predicted
