"""One self-contained report of what happens next, and whom to contact."""

from pipelines.report.gather import totals_of, window_sales
from pipelines.report.inputs import (
    DatasetFacts,
    ModelFacts,
    MonthSales,
    RejectCount,
    ReportInputs,
    WindowSales,
    WorkspaceTotals,
)
from pipelines.report.write import ReportFiles, write_report

__all__ = [
    "DatasetFacts",
    "ModelFacts",
    "MonthSales",
    "RejectCount",
    "ReportFiles",
    "ReportInputs",
    "WindowSales",
    "WorkspaceTotals",
    "totals_of",
    "window_sales",
    "write_report",
]
