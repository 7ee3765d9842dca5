"""The model card of a model of when something happens: what it answers and how it did."""

from collections.abc import Mapping
from typing import Any

from services.training.runs.card import cell
from shared.features.waits import ANY_EVENT, ORDER

_WORDS = {
    "concordance": "concordance index",
    "integrated_brier": "integrated Brier score",
    "pinball_days": "pinball loss of 10, 50 and 90 %, days",
    "coverage": "share covered by the 80 % interval",
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error, 10 equal bins",
}


def wait_card(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Markdown text from a manifest's and an evaluation's values; equal values, equal text."""
    fold, days = evaluation["fold"], manifest["horizon_days"]
    metrics, what = evaluation["metrics"], named(manifest["awaited"])
    names = list(metrics)
    head = "| metric | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    rows = [
        f"| {words} | " + " | ".join(cell(metrics[name][metric]) for name in names) + " |"
        for metric, words in _WORDS.items()
    ]
    forecast = evaluation["forecast"]
    totals = ", ".join(
        f"{said:.0f} foreseen and {seen} seen by day {days * third // 3}"
        for third, (said, seen) in enumerate(
            zip(forecast["predicted_by_third"], forecast["actual_by_third"], strict=True), 1
        )
    )
    lines = [
        f"# {manifest['model']}",
        "",
        f"Answers {', '.join(manifest['predictions'])} over the next {days} days: how probable "
        f"{what} of every user is by each twelfth of them, and the days by which it comes with a "
        "chance of 10, 50 and 90 %.",
        "",
        "## Fitted on",
        "",
        f"- dataset `{manifest['dataset_hash']}`, feature set `{manifest['feature_set_version']}`, "
        f"{len(manifest['features'])} features",
        f"- {len(manifest['final']['train_as_ofs'])} instants, "
        f"{manifest['final']['row_count']} eligible rows",
        f"- an ensemble of {manifest['config']['members']} networks and as many logistic "
        "regressions, each fitted without one group of users; calibrated on those users",
        *(["- BG/NBD at the latest instant"] if manifest["has_customer_base"] else []),
        "",
        "## Judged on later time",
        "",
        f"Fitted anew on {len(fold['train_as_ofs'])} earlier instants and judged on "
        f"{fold['row_count']} eligible users at {fold['test_as_of']}; it happened to "
        f"{fold['happened_rate']:.1%} of them. In brackets: standard error by bootstrap over "
        "users. The last five rows are of whether it happens within the horizon at all.",
        "",
        head,
        "|" + " --- |" * (len(names) + 1),
        *rows,
        "",
        f"How well it sorts users, in a word: {evaluation['lift_word']}. A model that were "
        "calibrated perfectly would have a calibration error below "
        f"{evaluation['calibration_error_by_chance']:.4f} in 19 of 20 such windows. In all: "
        f"{totals}.",
        "",
        "## Mind",
        "",
        f"- Nothing is said of what comes after {days} days: a day that is later is left open.",
        "- Users whom the question does not fit get what such users did in training.",
        "- Reasons add up to the logit that it happens within the horizon, within "
        f"{manifest['completeness_error']:.1e}.",
        "- Season and shift are not corrected for.",
    ]
    return "\n".join(lines) + "\n"


def named(awaited: str) -> str:
    """Words for what is waited for.

    >>> named("Product Viewed")
    'a "Product Viewed"'
    """
    return {ORDER: "an order", ANY_EVENT: "any event"}.get(awaited, f'a "{awaited}"')
