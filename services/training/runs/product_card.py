"""The model card of a model of products: what it answers, what it was fitted on and how it did."""

from collections.abc import Mapping
from typing import Any

from services.training.runs.card import cell

_WORDS = {
    "hit_rate_any": "hit rate at 10, any product",
    "ndcg_any": "NDCG at 10, any product",
    "hit_rate_new": "hit rate at 10, new products",
    "ndcg_new": "NDCG at 10, new products",
}


def product_card(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Markdown text from a manifest's and an evaluation's values; equal values, equal text."""
    fold, days = evaluation["fold"], manifest["horizon_days"]
    metrics = evaluation["metrics"]
    names = list(metrics)
    head = "| metric | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    rows = [
        f"| {words} | " + " | ".join(cell(metrics[name][metric]) for name in names) + " |"
        for metric, words in _WORDS.items()
    ]
    lines = [
        f"# {manifest['model']}",
        "",
        f"Answers {', '.join(manifest['predictions'])}: which products a user orders in the "
        f"{days} days after an instant, and which of those that the user never ordered.",
        "",
        "## Fitted on",
        "",
        f"- dataset `{manifest['dataset_hash']}`: {manifest['row_count']} users at "
        f"{len(manifest['train_as_ofs'])} instants, each with at most "
        f"{manifest['candidate_count']} candidates out of {manifest['product_count']} products",
        f"- {manifest['config']['model']['type']} of {manifest['parameter_count']} parameters",
        "",
        "## Judged on a later window",
        "",
        f"Fitted on {', '.join(fold['train_as_ofs'])}; judged at {fold['test_as_of']} on "
        f"{evaluation['users']} users who ordered in the {days} days after it. A hit is a list of "
        "ten with at least one product that the user then ordered. In brackets: standard error by "
        "bootstrap over users.",
        "",
        head,
        "|" + " --- |" * (len(names) + 1),
        *rows,
        "",
        "## Mind",
        "",
        "- Scores rank the products of one user; they are no probabilities, and those of two users "
        "say nothing of who orders sooner.",
        "- A product that nobody ordered in the year before is never named.",
        "- Users who do not order at all were left out of the judgement.",
    ]
    return "\n".join(lines) + "\n"
