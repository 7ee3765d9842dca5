"""What every validation needs to know besides the rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.ingestion.domain.findings import Findings
from services.ingestion.domain.mapping import Mapping
from services.ingestion.domain.reasons import Reason
from services.ingestion.domain.times import parse_times

Instants = npt.NDArray[np.int64]
_DAY_MILLISECONDS = 86_400_000
_LATEST = 10_413_705_600_000  # the year 2300, where ClickHouse's times end


@dataclass(frozen=True)
class Rules:
    """The circumstances under which rows are accepted."""

    mapping: Mapping
    zone: str
    """Zone of times that name none."""
    now_milliseconds: int
    """Wall clock of the ingest."""
    is_live: bool
    """Whether events became known just now rather than when they happened."""
    arrivals: Instants | None = None
    """When each row became known, where that was before now."""

    def known_times(self, length: int) -> Instants:
        """Return when each of so many live rows became known."""
        if self.arrivals is not None:
            return self.arrivals
        return np.full(length, self.now_milliseconds, dtype=np.int64)

    def times(
        self,
        column: pa.Array,
        findings: Findings,
        name: str,
        *,
        formats: tuple[str, ...] = (),
        unit: str | None = None,
    ) -> tuple[Instants, npt.NDArray[np.bool_]]:
        """Parse a column of times; texts that are none are marked in `findings`."""
        values, is_missing, is_bad = parse_times(column, zone=self.zone, formats=formats, unit=unit)
        findings.reject(is_bad, Reason.BAD_TIMESTAMP, name, column)
        return values, is_missing

    def reject_future(
        self, instants: Instants, findings: Findings, name: str, column: pa.Array
    ) -> None:
        """Mark what lies further ahead than a wrong clock can explain."""
        ahead = self.mapping.limits.future_days * _DAY_MILLISECONDS
        is_future = instants > min(self.now_milliseconds + ahead, _LATEST)
        findings.reject(is_future, Reason.FUTURE_TIMESTAMP, name, column)
