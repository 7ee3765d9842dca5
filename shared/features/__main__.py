"""Writes the page of all features: `python -m shared.features > docs/reference/features.md`."""

import sys

from shared.features.algebra import Aggregate, Balance, Expression, Ratio, RecentOrder
from shared.features.registry import FEATURES, GROUPS


def reference() -> str:
    """Return the page `docs/reference/features.md`."""
    parts = [
        "# Features\n",
        "Written by `python -m shared.features`. Money is in the workspace's currency; a missing",
        "value is NaN. Windows end at as_of and are whole days of the workspace's zone.",
    ]
    for group, meaning in GROUPS.items():
        parts += [f"\n## {group}: {meaning}\n", "| name | what | how | unit |", "|---|---|---|---|"]
        parts += [
            f"| `{each.name}` | {each.label} | {formula(each.expression)} | {each.unit} |"
            for each in FEATURES.values()
            if each.group == group
        ]
    return "\n".join(parts) + "\n"


def formula(expression: Expression) -> str:
    """Write an expression for a person."""
    match expression:
        case Ratio(top, bottom):
            return f"{formula(top)} / {formula(bottom)}"
        case Balance(recent, earlier):
            one, other = formula(recent), formula(earlier)
            return f"({one} - {other}) / ({one} + {other})"
        case RecentOrder(read, place):
            return f"{read} of order {place} counted from the last"
        case Aggregate(function, events, read, window, statistic):
            of = f" of {read}" if read else ""
            named = f"{statistic} of {function}" if statistic else str(function)
            days = "" if window.start is None else f", {window.start} to {window.end} days before"
            return f"{named}{of} ({events}{days})"


if __name__ == "__main__":
    sys.stdout.write(reference())
