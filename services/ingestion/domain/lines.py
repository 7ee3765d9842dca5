"""Lines of orders: checked column by column, in a compact form that a whole file fits in."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.columns import Bound, canonical_texts
from services.ingestion.domain.findings import Findings
from services.ingestion.domain.identity import Words, row_digests
from services.ingestion.domain.jsontext import json_values
from services.ingestion.domain.mapping import Column, Mapping, Role
from services.ingestion.domain.numbers import LARGEST_AMOUNT, parse_numbers, times, to_micros
from services.ingestion.domain.privacy import is_personal, redacted
from services.ingestion.domain.pseudonyms import id_text
from services.ingestion.domain.reasons import Reason
from services.ingestion.domain.rules import Instants, Rules

_PROPERTY = "property:"


@dataclass(frozen=True)
class Lines:
    """Good lines of orders, still under the ids of the source."""

    table: pa.Table
    """row, order, user, product (dictionaries), event_time, quantity, price_micros, total_micros,
    and a dictionary of JSON texts for each further column under "property:<name>"."""
    digests: Words
    """Identity of each line before equal ones are told apart."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def take(self, places: npt.NDArray[np.int64]) -> "Lines":
        """Return some of the lines, in the order of the places."""
        return Lines(self.table.take(pa.array(places)), self.digests[places])


def read_lines(table: pa.Table, rows: pa.Array, findings: Findings, rules: Rules) -> Lines:
    """Check lines of orders and return the good ones; the others are marked in `findings`."""
    mapping = rules.mapping
    bound = Bound(table, mapping)
    order = id_text(bound.column(Role.ORDER))
    if Role.ORDER in mapping.columns:
        is_nameless = order.is_null().to_numpy(zero_copy_only=False)
        findings.reject(is_nameless, Reason.MISSING_FIELD, bound.name_of(Role.ORDER))
    user = id_text(bound.column(Role.USER))
    product = id_text(bound.column(Role.PRODUCT))
    event_time = _times(bound, findings, rules)
    quantity, price_micros, total_micros = _money(bound, findings, mapping)
    good = pa.array(np.flatnonzero(findings.is_good))
    is_good = findings.is_good
    texts = canonical_texts(
        [
            ("order", order.take(good)),
            ("user", user.take(good)),
            ("time", pa.array(event_time[is_good])),
            ("product", product.take(good)),
            ("quantity", pa.array(quantity[is_good])),
            ("price", pa.array(price_micros[is_good])),
            ("total", pa.array(total_micros[is_good])),
            *[(f".{name}", bound.raw(name).take(good)) for name in sorted(bound.others())],
        ]
    )
    kept = [name for name in bound.others() if not is_personal(name) and name.lower() != "name"]
    columns = {
        "row": rows.take(good),
        "order": redacted(order.take(good)).dictionary_encode(),
        "user": user.take(good).dictionary_encode(),
        "product": redacted(pc.fill_null(product.take(good), "")).dictionary_encode(),
        "event_time": pa.array(event_time[is_good]),
        "quantity": pa.array(quantity[is_good]),
        "price_micros": pa.array(price_micros[is_good]),
        "total_micros": pa.array(total_micros[is_good]),
    } | {
        _PROPERTY + name: redacted(json_values(bound.raw(name).take(good))).dictionary_encode()
        for name in kept
    }
    return Lines(pa.table(columns), row_digests(mapping.source, texts))


def join_lines(parts: list[Lines]) -> Lines:
    """Return the lines of several batches as one."""
    table = pa.concat_tables([part.table for part in parts], promote_options="default")
    digests = np.concatenate([part.digests for part in parts])
    return Lines(table.unify_dictionaries().combine_chunks(), digests)


def property_columns(lines: Lines) -> list[str]:
    """Return the names of the further columns."""
    names = lines.table.column_names
    return [name[len(_PROPERTY) :] for name in names if name.startswith(_PROPERTY)]


def property_values(lines: Lines, name: str) -> pa.ChunkedArray:
    """Return a further column as JSON texts."""
    return lines.table.column(_PROPERTY + name)


def _times(bound: Bound, findings: Findings, rules: Rules) -> Instants:
    column = rules.mapping.columns.get(Role.TIME, Column(()))
    name, values = bound.name_of(Role.TIME), bound.column(Role.TIME)
    event_time, is_missing = rules.times(
        values, findings, name, formats=column.formats, unit=column.unit
    )
    findings.reject(is_missing, Reason.MISSING_FIELD, name)
    rules.reject_future(event_time, findings, name, values)
    return event_time


def _money(
    bound: Bound, findings: Findings, mapping: Mapping
) -> tuple[npt.NDArray[np.float64], Instants, Instants]:
    has_unit = Role.UNIT_PRICE in mapping.columns
    role = Role.UNIT_PRICE if has_unit else Role.AMOUNT
    quantity = _number(bound, Role.QUANTITY, findings, mapping, default=1.0)
    price = _number(bound, role, findings, mapping, default=None)
    price_micros = to_micros(price)
    if not mapping.accepts_negative_price:
        findings.reject(
            price_micros < 0, Reason.NEGATIVE_PRICE, bound.name_of(role), bound.column(role)
        )
    if not has_unit:
        # The amount is the whole row's; the price of one is what each of the pieces cost.
        pieces = np.where(quantity > 0, quantity, 1.0)
        return quantity, np.rint(price_micros / pieces).astype(np.int64), price_micros
    is_large = np.abs(quantity) * np.abs(price) > LARGEST_AMOUNT
    findings.reject(is_large, Reason.BAD_NUMBER, bound.name_of(Role.QUANTITY))
    total_micros = times(np.where(is_large, 0.0, quantity), price_micros)
    return quantity, price_micros, total_micros


def _number(
    bound: Bound, role: Role, findings: Findings, mapping: Mapping, default: float | None
) -> npt.NDArray[np.float64]:
    column, name = bound.column(role), bound.name_of(role)
    values, is_missing, is_bad = parse_numbers(
        column, decimal=mapping.decimal, thousands=mapping.thousands
    )
    findings.reject(is_bad | (np.abs(values) > LARGEST_AMOUNT), Reason.BAD_NUMBER, name, column)
    if default is None or bound.has(role):
        findings.reject(is_missing, Reason.MISSING_FIELD, name)
    return np.where(is_missing, 0.0 if default is None else default, values)
