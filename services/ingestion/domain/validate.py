"""The one validator of events: staged columns in, accepted columns out, faults marked."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.findings import Findings
from services.ingestion.domain.mapping import Column, Role
from services.ingestion.domain.numbers import LARGEST_AMOUNT, parse_numbers, times, to_micros
from services.ingestion.domain.reasons import Reason
from services.ingestion.domain.rules import Instants, Rules
from services.ingestion.domain.staged import (
    ORDER_COMPLETED,
    REFUNDS,
    TYPES,
    Places,
    StagedEvents,
)

Mask = npt.NDArray[np.bool_]
Micros = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Money:
    """What the events sold and gave back, and the products in typed form."""

    gross: Micros
    net: Micros
    quantities: npt.NDArray[np.float64]
    price_micros: Micros


@dataclass(frozen=True)
class ValidatedEvents:
    """Staged events with what validation computed; rows marked in the findings are to be left."""

    staged: StagedEvents
    event_time: Instants
    ingest_time: Instants
    money: Money

    def __len__(self) -> int:
        return len(self.staged)

    def take(self, places: Places) -> "ValidatedEvents":
        """Return some of the rows, in the order of the places; all in order cost nothing."""
        if len(places) == len(self) and np.array_equal(places, np.arange(len(self))):
            return self
        money, lists = self.money, self.staged.products.lists
        chosen = pa.array(places)
        quantities, price_micros = (
            lists(pa.array(values)).take(chosen).flatten().to_numpy()
            for values in (money.quantities, money.price_micros)
        )
        return ValidatedEvents(
            self.staged.take(places),
            self.event_time[places],
            self.ingest_time[places],
            Money(money.gross[places], money.net[places], quantities, price_micros),
        )


def validate(staged: StagedEvents, findings: Findings, rules: Rules) -> ValidatedEvents:
    """Check a batch of events column by column; the first fault of a row counts."""
    _check_kinds(staged, findings)
    _check_people(staged, findings)
    event_time = _event_times(staged, findings, rules)
    money = _money(staged, findings, rules)
    ingest_time = rules.known_times(len(staged)) if rules.is_live else event_time
    return ValidatedEvents(staged, event_time, ingest_time, money)


def _check_kinds(staged: StagedEvents, findings: Findings) -> None:
    no_type = staged.type.is_null()
    findings.reject(_mask(no_type), Reason.MISSING_FIELD, staged.name_of("type"))
    is_known = pc.is_in(staged.type, pa.array(TYPES))
    findings.reject(
        _mask(pc.invert(is_known)), Reason.UNKNOWN_TYPE, staged.name_of("type"), staged.type
    )
    no_event = pc.and_(pc.equal(staged.type, "track"), pc.equal(staged.event, ""))
    findings.reject(
        _mask(pc.fill_null(no_event, False)), Reason.MISSING_FIELD, staged.name_of("event")
    )


def _check_people(staged: StagedEvents, findings: Findings) -> None:
    is_nobody = pc.and_(_is_blank(staged.user_id), _is_blank(staged.anonymous_id))
    findings.reject(_mask(is_nobody), Reason.MISSING_ID, staged.name_of("user_id"))
    if staged.previous_id is not None:
        no_previous = pc.and_(pc.equal(staged.type, "alias"), _is_blank(staged.previous_id))
        findings.reject(
            _mask(pc.fill_null(no_previous, False)),
            Reason.MISSING_FIELD,
            staged.name_of("previous_id"),
        )


def _event_times(staged: StagedEvents, findings: Findings, rules: Rules) -> Instants:
    time = rules.mapping.columns.get(Role.TIME, Column(()))
    name = staged.name_of("timestamp")
    value, is_missing = rules.times(
        staged.timestamp, findings, name, formats=time.formats, unit=time.unit
    )
    if staged.sent_at is None:
        findings.reject(is_missing, Reason.MISSING_FIELD, name)
    else:
        value = _corrected(staged, value, is_missing, findings, rules)
    rules.reject_future(value, findings, name, staged.timestamp)
    return value


def _corrected(
    staged: StagedEvents, value: Instants, is_missing: Mask, findings: Findings, rules: Rules
) -> Instants:
    """Take the skew of the device's clock out: receivedAt - (sentAt - originalTimestamp)."""
    columns = [staged.original_timestamp, staged.sent_at, staged.received_at]
    names = ("original_timestamp", "sent_at", "received_at")
    parsed = [
        rules.times(column, findings, staged.name_of(name))
        for column, name in zip(columns, names, strict=True)
        if column is not None
    ]
    (original, no_original), (sent, no_sent), (received, no_received) = parsed
    if rules.is_live:
        received = np.where(no_received, rules.known_times(len(staged)), received)
        no_received = np.zeros_like(no_received)
    original = np.where(no_original, value, original)
    no_original = no_original & is_missing
    findings.reject(no_original & no_received, Reason.MISSING_FIELD, staged.name_of("timestamp"))
    value = np.where(is_missing, np.where(no_original, received, original), value)
    can_correct = ~no_original & ~no_sent & ~no_received
    corrected: Instants = np.where(can_correct, received - (sent - original), value)
    findings.reject(corrected < 0, Reason.BAD_TIMESTAMP, staged.name_of("sent_at"))
    return corrected


def _money(staged: StagedEvents, findings: Findings, rules: Rules) -> Money:
    decimal, thousands = rules.mapping.decimal, rules.mapping.thousands
    offsets = staged.products.offsets.to_numpy()
    counts = np.diff(offsets)

    def products(column: pa.Array, name: str) -> tuple[npt.NDArray[np.float64], Mask]:
        values, is_missing, is_bad = parse_numbers(column, decimal=decimal, thousands=thousands)
        is_bad |= np.abs(values) > LARGEST_AMOUNT
        findings.reject(_any(is_bad, counts), Reason.BAD_NUMBER, staged.name_of(name))
        return np.where(is_bad, 0.0, values), is_missing

    prices, no_price = products(staged.products.prices, "prices")
    quantities, no_quantity = products(staged.products.quantities, "quantities")
    quantities = np.where(no_quantity, 1.0, quantities)
    price_micros = to_micros(prices)
    is_negative = price_micros < 0
    if not rules.mapping.accepts_negative_price:
        findings.reject(_any(is_negative, counts), Reason.NEGATIVE_PRICE, staged.name_of("prices"))
    is_sale = _mask(pc.equal(staged.event, ORDER_COMPLETED))
    is_refund = _mask(pc.is_in(staged.event, pa.array(REFUNDS)))
    is_money = is_sale | is_refund
    value, no_value, is_bad = parse_numbers(staged.amount, decimal=decimal, thousands=thousands)
    is_bad |= np.abs(value) > LARGEST_AMOUNT
    name = staged.name_of("amount")
    findings.reject(is_bad & is_money, Reason.BAD_NUMBER, name, staged.amount)
    amounts = to_micros(value)
    if not rules.mapping.accepts_negative_price:
        findings.reject(is_sale & (amounts < 0), Reason.NEGATIVE_PRICE, name, staged.amount)
    from_products = _sums(_line_totals(quantities, price_micros), counts)
    no_sum = _any(no_price, counts) | (counts == 0)
    findings.reject(is_sale & no_value & no_sum, Reason.MISSING_FIELD, name)
    amounts = np.where(no_value, from_products, amounts)
    gross = np.where(is_sale, np.maximum(amounts, 0), 0)
    net = np.where(is_sale, amounts, np.where(is_refund, -np.abs(amounts), 0))
    return Money(gross, net, quantities, price_micros)


def _line_totals(quantities: npt.NDArray[np.float64], price_micros: Micros) -> Micros:
    largest = np.abs(quantities) * np.abs(price_micros)
    is_usable = largest <= LARGEST_AMOUNT * 1e6
    return times(np.where(is_usable, quantities, 0.0), price_micros)


def _sums(values: Micros, counts: npt.NDArray[np.int32]) -> Micros:
    totals = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=totals[1:])
    ends = np.cumsum(counts)
    sums: Micros = totals[ends] - totals[ends - counts]
    return sums


def _any(is_bad: Mask, counts: npt.NDArray[np.int32]) -> Mask:
    return _sums(is_bad.astype(np.int64), counts) > 0


def _is_blank(texts: pa.Array) -> pa.Array:
    return pc.fill_null(pc.equal(texts, ""), True)


def _mask(values: pa.Array) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.bool_)
