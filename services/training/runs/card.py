"""The model card: what a version is, what it was fitted on and how it did, in one page."""

from collections.abc import Mapping, Sequence
from typing import Any

_WORDS = {
    "auc": "AUC (churn)",
    "pr_auc": "PR-AUC (churn)",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error, 10 equal bins",
    "accuracy": "accuracy at 0.5",
    "recall": "recall at 0.5",
    "precision": "precision at 0.5",
    "f1": "F1 at 0.5",
    "mae": "mean absolute error of spend",
    "decile_mape": "relative error of spend by decile",
    "spearman": "Spearman correlation of spend",
    "normalised_gini": "normalised Gini of spend",
    "segment_accuracy": "segment accuracy",
    "segment_macro_f1": "segment macro F1",
    "segment_log_loss": "segment log loss",
    "coverage": "share covered",
    "coverage_of_buyers": "share covered of those who ordered",
    "interval_score": "interval score",
}


def model_card(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Markdown text from a manifest's and an evaluation's values; equal values, equal text."""
    fold = evaluation["fold"]
    lines = [
        f"# {manifest['model']}",
        "",
        f"Answers {', '.join(manifest['predictions'])} over the next "
        f"{manifest['horizon_days']} days: the probability of an order, the expected gross spend "
        f"({manifest['currency']}) and the value segment of every user.",
        "",
        "## Fitted on",
        "",
        f"- dataset `{manifest['dataset_hash']}`, feature set `{manifest['feature_set_version']}`, "
        f"{len(manifest['features'])} features",
        f"- {len(manifest['final']['train_as_ofs'])} instants, "
        f"{manifest['final']['row_count']} eligible rows",
        f"- an ensemble of {manifest['config']['members']} networks and as many logistic "
        "regressions, each fitted without one group of users; calibrated on those users",
        *_base(manifest["customer_base"]),
        "",
        "## Judged on later time",
        "",
        f"Fitted anew on {len(fold['train_as_ofs'])} earlier instants and judged on "
        f"{fold['row_count']} eligible users at {fold['test_as_of']}; "
        f"{fold['positive_rate']:.1%} of them did not order. "
        "In brackets: standard error by bootstrap over users.",
        "",
        *_table(evaluation["metrics"]),
        "",
        f"How well it sorts customers, in a word: {evaluation['lift_word']}. A model that were "
        "calibrated perfectly would have a calibration error below "
        f"{evaluation['calibration_error_by_chance']:.4f} in 19 of 20 such windows.",
        "",
        "Intervals of spend that are meant to hold 90 % of customers, also 90 % of those who "
        "order, beside the quantiles of each cell of recency and frequency:",
        "",
        *_table(evaluation["intervals"]["metrics"]),
        "",
        "## Mind",
        "",
        "- Contributions explain the model's probability; they are not causes.",
        "- Users whom the question does not fit get the base rate: "
        f"{manifest['base_rates']['active']:.3f} for an order.",
        "- A season that the history does not hold cannot be foreseen: compare the forecast totals "
        "with the same window of last year.",
        f"- Contributions add up to the logit within {manifest['completeness_error']:.1e}.",
    ]
    return "\n".join(lines) + "\n"


def _base(fitted: Mapping[str, Sequence[float]]) -> list[str]:
    if not fitted:
        return []
    names = {"orders": ("r", "alpha", "a", "b"), "values": ("p", "q", "gamma")}
    told = ", ".join(
        f"{name} {value:.4g}"
        for part, values in fitted.items()
        for name, value in zip(names[part], values, strict=True)
    )
    return [f"- BG/NBD (days) and Gamma-Gamma at the latest instant: {told}"]


def _table(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    names = list(metrics)
    head = "| metric | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    rows = [
        f"| {_WORDS[metric]} | " + " | ".join(cell(metrics[name][metric]) for name in names) + " |"
        for metric in metrics["model"]
    ]
    return [head, "|" + " --- |" * (len(names) + 1), *rows]


def cell(estimate: Mapping[str, Any]) -> str:
    """A number and, in brackets, its standard error."""
    if estimate["value"] is None:
        return "none"
    error = "" if estimate["se"] is None else f" ({estimate['se']:.4f})"
    return f"{estimate['value']:.4f}{error}"
