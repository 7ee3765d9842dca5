"""Segment-spec JSON into staged columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from services.ingestion.domain.findings import Findings
from services.ingestion.domain.privacy import redacted, scrubbed
from services.ingestion.domain.reasons import Reason
from services.ingestion.domain.staged import (
    CONSENT,
    MONEY_EVENTS,
    ORDER_COMPLETED,
    Products,
    StagedEvents,
)

_FIELDS = {
    "message_id": "messageId", "user_id": "userId", "anonymous_id": "anonymousId",
    "previous_id": "previousId", "original_timestamp": "originalTimestamp", "sent_at": "sentAt",
    "received_at": "receivedAt", "amount": "properties.revenue", "order_id": "properties.order_id",
    "prices": "properties.products.price", "quantities": "properties.products.quantity",
}  # fmt: skip
_TEXTS = {
    "userId": "user_id", "anonymousId": "anonymous_id", "messageId": "message_id",
    "previousId": "previous_id", "timestamp": "timestamp", "sentAt": "sent_at",
    "originalTimestamp": "original_timestamp", "receivedAt": "received_at", "type": "type",
}  # fmt: skip
_OBJECTS = ("properties", "traits", "context")
_REFUND_AMOUNTS = ("revenue", "amount", "total", "value")
_PRODUCT_IDS = ("product_id", "productId", "sku", "id")
_TRANSPORT = frozenset({"sentAt", "receivedAt"})


class _Mistake(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, reason: Reason, field: str) -> None:
        super().__init__(field)
        self.reason, self.field = reason, field


def stage_segment(events: Sequence[bytes], findings: Findings, field_bytes: int) -> StagedEvents:
    """Parse JSON events; those that are none are marked in `findings` and stand empty.

    Args:
        events: One JSON object each.
        findings: Gets the faults.
        field_bytes: Longest event accepted.
    """
    parsed = []
    faults: dict[tuple[Reason, str], list[int]] = {}
    for place, event in enumerate(events):
        try:
            parsed.append(_parse(event, field_bytes))
        except _Mistake as mistake:
            faults.setdefault((mistake.reason, mistake.field), []).append(place)
            parsed.append(_EMPTY)
    for (reason, name), places in faults.items():
        is_bad = np.zeros(len(events), dtype=np.bool_)
        is_bad[places] = True
        findings.reject(is_bad, reason, name)
    return _staged(parsed)


def _staged(parsed: list[dict[str, Any]]) -> StagedEvents:
    def texts(key: str) -> pa.Array:
        return pa.array([event.get(key) for event in parsed], pa.string())

    products = [event.get("products", ()) for event in parsed]
    offsets = np.zeros(len(parsed) + 1, dtype=np.int32)
    np.cumsum([len(some) for some in products], out=offsets[1:])
    flat = [product for some in products for product in some]

    def canonical(places: pa.Array) -> pa.Array:
        wanted = (parsed[place]["whole"] for place in places.to_pylist())
        kept = ({k: v for k, v in whole.items() if k not in _TRANSPORT} for whole in wanted)
        return pa.array(
            [orjson.dumps(whole, option=orjson.OPT_SORT_KEYS).decode() for whole in kept],
            pa.string(),
        )

    return StagedEvents(
        type=texts("type"),
        event=texts("event"),
        message_id=texts("message_id"),
        user_id=texts("user_id"),
        anonymous_id=texts("anonymous_id"),
        previous_id=texts("previous_id"),
        timestamp=texts("timestamp"),
        original_timestamp=texts("original_timestamp"),
        sent_at=texts("sent_at"),
        received_at=texts("received_at"),
        amount=texts("amount"),
        order_id=texts("order_id"),
        campaign=texts("campaign"),
        channel=texts("channel"),
        consent=pa.array([event.get("consent", ()) for event in parsed], CONSENT),
        properties=redacted(texts("properties")),
        context=redacted(texts("context")),
        canonical=canonical,
        products=Products(
            pa.array(offsets),
            pa.array([product[0] for product in flat], pa.string()),
            pa.array([product[1] for product in flat], pa.string()),
            pa.array([product[2] for product in flat], pa.string()),
        ),
        fields=_FIELDS,
    )


_EMPTY: dict[str, Any] = {"properties": "", "context": "", "whole": {}}


def _parse(event: bytes, field_bytes: int) -> dict[str, Any]:
    if len(event) > field_bytes:
        raise _Mistake(Reason.FIELD_TOO_LARGE, "")
    try:
        whole = orjson.loads(event)
    except orjson.JSONDecodeError as error:
        raise _Mistake(_reason_of(event), "") from error
    if not isinstance(whole, dict):
        raise _Mistake(Reason.BAD_JSON, "")
    try:
        return _parts(whole)
    except RecursionError as error:
        raise _Mistake(Reason.BAD_JSON, "") from error


def _parts(whole: dict[str, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {"whole": whole}
    for key, column in _TEXTS.items():
        parts[column] = _text(whole, key)
    kind = parts["type"]
    if kind is None and whole.get("event"):
        kind = parts["type"] = "track"
    objects = {key: _object(whole, key) for key in _OBJECTS}
    properties = dict(objects["properties"])
    event = _text(whole, "event" if kind == "track" else "name") or ""
    if kind in ("identify", "group", "alias"):
        event, properties = "", dict(objects["traits"])
    if kind == "group" and (group := _text(whole, "groupId")):
        properties["group_id"] = group
    parts["event"] = event
    _take_order(parts, event, properties)
    context = dict(objects["context"])
    campaign = _object(context, "campaign", "context.")
    parts["campaign"] = _text(campaign, "name", "context.campaign.") or ""
    medium = _text(campaign, "medium", "context.campaign.")
    parts["channel"] = medium or _text(whole, "channel") or ""
    parts["consent"] = _consent(context)
    parts["properties"], parts["context"] = _dumped(properties), _dumped(context)
    return parts


def _take_order(parts: dict[str, Any], event: str, properties: dict[str, Any]) -> None:
    order_id = _text(properties, "order_id", "properties.")
    parts["order_id"] = order_id or ""
    properties.pop("order_id", None)
    if event in MONEY_EVENTS:
        names = ("revenue",) if event == ORDER_COMPLETED else _REFUND_AMOUNTS
        name = next((n for n in names if properties.get(n) not in (None, "")), None)
        parts["amount"] = _number(properties.pop(name)) if name else None
    products = properties.get("products")
    if products is not None:
        if not isinstance(products, list) or not all(isinstance(p, dict) for p in products):
            raise _Mistake(Reason.BAD_FIELD_TYPE, "properties.products")
        kept = [dict(product) for product in products]
        parts["products"] = [_take_product(product) for product in kept]
        properties["products"] = kept
        if not any(kept):
            del properties["products"]
    elif any(properties.get(key) is not None for key in _PRODUCT_IDS[:3]):
        # The product stays a product for the privacy rules once its id is taken out.
        has_name = isinstance(properties.get("name"), str)
        name = properties.pop("name") if has_name else None
        parts["products"] = [_take_product(properties)]
        if name is not None:
            properties["product"] = {"sku": parts["products"][0][0], "name": name}


def _take_product(product: dict[str, Any]) -> tuple[str, str | None, str | None]:
    key = next((key for key in _PRODUCT_IDS if product.get(key) is not None), None)
    identifier = _text(product, key, "properties.") if key else ""
    if key:
        del product[key]
    price, quantity = product.pop("price", None), product.pop("quantity", None)
    return identifier or "", _number(price), _number(quantity)


def _consent(context: dict[str, Any]) -> list[tuple[str, bool]]:
    if "consent" not in context:
        return []
    consent = dict(_object(context, "consent", "context."))
    preferences = _object(consent, "categoryPreferences", "context.consent.")
    if not all(isinstance(value, bool) for value in preferences.values()):
        raise _Mistake(Reason.BAD_FIELD_TYPE, "context.consent.categoryPreferences")
    context.pop("consent", None)
    return sorted(preferences.items())


def _text(tree: Mapping[str, Any], key: str, place: str = "") -> str | None:
    value = tree.get(key)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value)) if value == int(value) else str(value)
    raise _Mistake(Reason.BAD_FIELD_TYPE, place + key)


def _object(tree: Mapping[str, Any], key: str, place: str = "") -> dict[str, Any]:
    value = tree.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Mistake(Reason.BAD_FIELD_TYPE, place + key)
    return value


def _number(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else str(value)


def _dumped(tree: dict[str, Any]) -> str:
    kept = scrubbed(tree)
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode() if kept else ""


def _reason_of(event: bytes) -> Reason:
    try:
        event.decode()
    except UnicodeDecodeError:
        return Reason.BAD_ENCODING
    return Reason.BAD_JSON
