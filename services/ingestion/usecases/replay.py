"""Lists rejected rows and tries them again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import pyarrow as pa

from services.ingestion.domain.batch import Batch
from services.ingestion.domain.findings import Fault
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.letters import refusals
from services.ingestion.usecases.ports import Layout, Letter, Refusal, Tally
from services.ingestion.usecases.stored import instant
from shared.errors import InvalidArgumentError

_LETTERS_A_BATCH = 20_000
_SHOWN_BYTES = 4096
_OPEN = """
    FROM events_rejected
    WHERE rejection_id NOT IN (SELECT rejection_id FROM events_replayed)
      AND ({source:String} = '' OR source = {source:String})
      AND ({reason:String} = '' OR reason = {reason:String})"""


@dataclass(frozen=True)
class RejectedRow:
    """A rejected row as it is listed."""

    rejection_id: str
    source: str
    origin: str
    row: int
    reason: str
    field: str
    message: str
    mapping: str
    reject_time: datetime
    payload: bytes


def list_rejected(
    circumstances: Circumstances, source: str, reason: str, page_size: int, page_token: str
) -> tuple[list[RejectedRow], str]:
    """Return a page of rows not replayed yet, newest first, and the token of the next page."""
    size = page_size if page_size > 0 else 50
    moment, row, rejection_id = _read_token(page_token)
    table = circumstances.stores.warehouse.query(
        f"""SELECT rejection_id, source, origin, row, reason, field, message, mapping, reject_time
        {_OPEN}
          AND (reject_time < {{moment:DateTime64(3, 'UTC')}}
            OR (reject_time = {{moment:DateTime64(3, 'UTC')}}
              AND (row, rejection_id) > ({{row:UInt64}}, {{id:String}})))
        ORDER BY reject_time DESC, row, rejection_id LIMIT {{size:UInt64}}""",
        {
            "source": source,
            "reason": reason,
            "moment": moment,
            "row": row,
            "id": rejection_id,
            "size": size,
        },
    )
    rows: list[dict[str, Any]] = table.to_pylist()
    letters = circumstances.stores.vault.letters([each["rejection_id"] for each in rows])
    found = [
        RejectedRow(**each, payload=_shown(letters.get(each["rejection_id"]))) for each in rows
    ]
    if len(found) < size:
        return found, ""
    last = found[-1]
    milliseconds = round(last.reject_time.timestamp() * 1000)
    return found, f"{milliseconds}-{last.row}-{last.rejection_id}"


def replay(circumstances: Circumstances, source: str, reason: str, mapping: str) -> Tally:
    """Validate rejected rows again and store what passes; rows of one order join it.

    Args:
        circumstances: The workspace.
        source: Only rows of this source, when set.
        reason: Only rows with this reason, when set.
        mapping: Name or text; empty for the one each row failed under.
    """
    table = circumstances.stores.warehouse.query(
        f"SELECT rejection_id, source {_OPEN} ORDER BY source, reject_time, row, rejection_id",
        {"source": source, "reason": reason},
    )
    ids, sources = (table.column(name).to_pylist() for name in ("rejection_id", "source"))
    letters = circumstances.stores.vault.letters(ids)
    chosen = [
        (name, letters[each]) for each, name in zip(ids, sources, strict=True) if each in letters
    ]
    chosen.sort(key=lambda pair: (pair[0], repr(pair[1].layout)))
    done = Tally()
    for (name, layout), group in groupby(chosen, key=lambda pair: (pair[0], pair[1].layout)):
        done += _replay(circumstances, name, layout, [letter for _, letter in group], mapping)
    return done


def _replay(
    circumstances: Circumstances,
    source: str,
    layout: Layout,
    letters: Sequence[Letter],
    mapping: str,
) -> Tally:
    found = circumstances.sources.mapping(mapping or layout.mapping, source)
    rules = circumstances.rules(found, is_live=layout.is_live)
    done, passed = Tally(), []
    with circumstances.stores.file_memory(source) as memory:
        intake = circumstances.intake(rules, memory, _Bystander())
        for part in _parts(letters):
            tally = intake.take(circumstances.sources.reread(part, found))
            refused = {refusal.row for refusal in tally.rejections}
            passed += [
                letter.rejection_id for place, letter in enumerate(part) if place not in refused
            ]
            done += tally
        done += intake.finish()
    if passed:
        moment = instant(rules.now_milliseconds)
        times = pa.array([moment] * len(passed), pa.timestamp("ms", "UTC"))
        rows = pa.table({"rejection_id": passed, "replay_time": times})
        circumstances.stores.warehouse.insert("events_replayed", rows)
    return done


class _Bystander:
    """A letter box for rows that are in it already."""

    def keep(self, batch: Batch, faults: Sequence[Fault]) -> tuple[Refusal, ...]:
        """See `LetterBox.keep`."""
        return tuple(refusal for refusal, _ in refusals(batch, faults))


def _parts(letters: Sequence[Letter]) -> Iterator[Sequence[Letter]]:
    for start in range(0, len(letters), _LETTERS_A_BATCH):
        yield letters[start : start + _LETTERS_A_BATCH]


def _shown(letter: Letter | None) -> bytes:
    return letter.payload[:_SHOWN_BYTES] if letter else b""


def _read_token(token: str) -> tuple[datetime, int, str]:
    if not token:
        return instant(9_000_000_000_000), 0, ""
    try:
        milliseconds, row, rejection_id = token.split("-")
        return instant(int(milliseconds)), int(row), rejection_id
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError(
            "page_token is not from an earlier page; leave it empty to start over",
            reason="BAD_PAGE_TOKEN",
        ) from error


def open_counts(circumstances: Circumstances) -> list[Mapping[str, Any]]:
    """Return how many rows wait to be mended, by reason and field."""
    table = circumstances.stores.warehouse.query(
        f"""SELECT reason, field, count() AS count {_OPEN}
        GROUP BY reason, field ORDER BY count DESC, reason, field""",
        {"source": "", "reason": ""},
    )
    rows: list[Mapping[str, Any]] = table.to_pylist()
    return rows
