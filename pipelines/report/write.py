"""Writes the report and the list of contacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pipelines.report.audiences import Audience, audiences_of
from pipelines.report.contacts import contacts_csv, contacts_of
from pipelines.report.customers import Customers, customers_of
from pipelines.report.findings import Findings, findings_of
from pipelines.report.inputs import ReportInputs
from pipelines.report.page import page
from pipelines.report.quality import Quality, quality_of

REPORT_FILE = "report.html"
CONTACTS_FILE = "contacts.csv"


@dataclass(frozen=True)
class ReportFiles:
    """Where the report lies, and the figures it leads with.

    Attributes:
        audiences: How many customers each audience holds, by its stable name.
    """

    report_path: Path
    contacts_path: Path
    findings: Findings
    quality: Quality
    audiences: dict[str, int]


def write_report(inputs: ReportInputs, folder: Path) -> ReportFiles:
    """Writes report.html and contacts.csv into a folder, which is made where it is missing.

    Equal inputs give equal bytes: nothing is read but the inputs, neither clock nor path.
    """
    customers = customers_of(inputs.predictions, inputs.history, inputs.source_ids)
    findings = findings_of(inputs, customers)
    quality = quality_of(inputs.evaluation)
    audiences = audiences_of(customers, inputs.horizon_days)
    html = page(inputs, customers, findings, quality, audiences)
    folder.mkdir(parents=True, exist_ok=True)
    return ReportFiles(
        report_path=_write(folder / REPORT_FILE, html),
        contacts_path=_write(folder / CONTACTS_FILE, _csv(customers, audiences)),
        findings=findings,
        quality=quality,
        audiences={each.name: len(each.members) for each in audiences},
    )


def _csv(customers: Customers, audiences: Sequence[Audience]) -> str:
    return contacts_csv(chain.from_iterable(contacts_of(customers, each) for each in audiences))


def _write(path: Path, text: str) -> Path:
    # A reader never meets half a file, not even after a crash.
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(text.encode("utf-8"))
    return part.replace(path)
