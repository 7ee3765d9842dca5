"""How much memory a state takes, by part and by feature."""

from collections import defaultdict

from shared.features.algebra import Feature, Property, RecentOrder
from shared.features.layers import is_first_ever
from shared.features.online.outcomes import StateReport
from shared.features.online.plan import parts_of
from shared.features.online.updater import Updater
from shared.features.sources import family_of

# What an entry of a dictionary of keys or of products takes in CPython 3.11, by tracemalloc.
_ENTRY_BYTES = 125
_RECENT = "recent orders"


def report_of(updater: Updater) -> StateReport:
    """Measure a state."""
    state, plan = updater.state, updater.state.plan
    keys = len(state.slot_of)
    parts = {
        **{
            f"{each.family.name} rows": arena.bytes
            for each, arena in zip(plan.families, state.families, strict=True)
        },
        **{
            _products(events): arena.bytes
            for events, arena in zip(plan.products, state.products, strict=True)
        },
        _RECENT: state.orders.bytes if plan.recent_orders else 0,
        "first instants": state.first_ms.nbytes,
    }
    readers = defaultdict(list)
    for feature in plan.features:
        for part in _parts_read(feature):
            readers[part].append(feature.name)
    of_feature: dict[str, float] = {feature.name: 0.0 for feature in plan.features}
    for part, names in readers.items():
        for name in names:
            of_feature[name] += parts[part] / len(names) / max(keys, 1)
    shared = {
        "keys": keys * _ENTRY_BYTES + state.keys.nbytes + state.identified_ms.nbytes,
        "persons": state.persons.bytes,
        "products' names": len(state.product_of) * _ENTRY_BYTES,
        "message ids": updater.seen.bytes,
    }
    stale = int(state.is_stale.sum())
    return StateReport(keys, stale, {**parts, **shared}, of_feature)


def _products(events: str) -> str:
    return f"products of {events}"


def _parts_read(feature: Feature) -> set[str]:
    if isinstance(feature.expression, RecentOrder):
        return {_RECENT}
    found = set()
    for each in parts_of(feature.expression):
        if each.property is Property.PRODUCT:
            found.add(_products(each.events))
        elif is_first_ever(each):
            found.add("first instants")
        else:
            found.add(f"{family_of(each.events).name} rows")
    return found
