"""The model card of a model of a table or of texts: what it is and how it did."""

from collections.abc import Mapping
from typing import Any

from services.training.runs.card import cell

_WORDS = {
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error, ten bins of equal size",
    "accuracy": "accuracy at 0.5",
    "recall": "recall at 0.5",
    "precision": "precision at 0.5",
    "f1": "F1 at 0.5",
}


def table_card(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Markdown text from a manifest's and an evaluation's values; equal values, equal text."""
    rows, positive = manifest["row_count"], manifest["positive_count"]
    stack = ", ".join(f"{voice} {weight:.2f}" for voice, weight in manifest["stack"].items())
    lines = [
        f"# {manifest['model']}",
        "",
        f"Answers {', '.join(manifest['predictions'])}: the probability that "
        f"`{manifest['target']}` is `{manifest['positive']}`.",
        "",
        "## Fitted on",
        "",
        f"- dataset `{manifest['dataset_hash']}`: {rows} rows, {positive} of them "
        f"({positive / rows:.1%}) `{manifest['positive']}`",
        f"- {len(manifest['columns'])} columns: {', '.join(manifest['columns'])}",
        f"- {manifest['config']['members']} networks ({manifest['config']['model']['type']} of "
        f"{manifest['parameter_count']} parameters)"
        + (", as many sets of boosted trees" if "trees" in manifest["stack"] else "")
        + " and five straight lines, each fitted without one fifth of the rows; on those it was "
        "calibrated",
        f"- weight of each in the logit: {stack}",
        "",
        "## Not read",
        "",
        *(f"- `{column}`: {reason}" for column, reason in manifest["excluded"].items()),
        "",
        f"## Judged by cross-validation in {evaluation['fold_count']} parts",
        "",
        "Each row by a model fitted to the other parts, vocabulary and scaling included. In "
        "brackets: standard error by bootstrap over rows. Baselines are fitted to the same parts.",
        "",
        *_table(evaluation["metrics"]),
        "",
        f"How well it sorts rows, in a word: {evaluation['lift_word']}. A perfectly calibrated "
        "model with the same predictions has a calibration error below "
        f"{evaluation['calibration_limit']:.4f} in 95 of 100 draws.",
        "",
        *_test(manifest["test_count"], evaluation.get("test")),
        "## Mind",
        "",
        "- Parts are drawn at random: how well it does later in time is not measured by this.",
        "- It was judged on rows from the same source; others may be told worse.",
        "- A column that is known only after the answer makes any model look good: exclude it.",
    ]
    return "\n".join(lines) + "\n"


def _test(count: int, judged: Mapping[str, Any] | None) -> list[str]:
    if judged is None:
        return []
    words = f"{count} rows that nothing was fitted to, by the model that is published."
    return ["## Judged on the test files", "", words, "", *_table(judged["metrics"]), ""]


def _table(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    names = list(metrics)
    head = "| metric | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    rows = [
        f"| {words} | " + " | ".join(cell(metrics[name][metric]) for name in names) + " |"
        for metric, words in _WORDS.items()
    ]
    return [head, "|" + " --- |" * (len(names) + 1), *rows]
