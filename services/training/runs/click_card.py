"""The model card of a model of clicks: what it answers, what it was fitted on and how it did."""

from collections.abc import Mapping
from typing import Any

from services.training.runs.card import cell
from services.training.runs.click_judge import gained

_WORDS = {
    "hit_rate_10": "hit rate at 10",
    "hit_rate_20": "hit rate at 20",
    "ndcg_10": "NDCG at 10",
    "mrr_20": "MRR at 20",
}


def click_card(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Markdown text from a manifest's and an evaluation's values; equal values, equal text."""
    fold = evaluation["fold"]
    lines = [
        f"# {manifest['model']}",
        "",
        f"Answers {', '.join(manifest['predictions'])}: which item comes next in a session, from "
        "its third click on, out of all items, those of the session included.",
        "",
        "## Fitted on",
        "",
        f"- dataset `{manifest['dataset_hash']}`: {manifest['session_count']} sessions over "
        f"{manifest['item_count']} items; {manifest['row_count']} clicks of the last fifth of them "
        "to weigh what earlier sessions tell",
        f"- at most {manifest['candidate_count']} candidates a click, each with "
        f"{len(manifest['features'])} features",
        f"- {manifest['config']['model']['type']} of {manifest['parameter_count']} parameters",
        "",
        "## Judged on later sessions",
        "",
        f"The last tenth of the sessions: {evaluation['clicks']} clicks of "
        f"{evaluation['sessions']} sessions, by a model fitted to {fold['train_rows']} clicks of "
        "the two tenths before it and counts over all sessions before each tenth. "
        f"{evaluation['share_seen_before']:.1%} of the clicks went to an item seen before in the "
        f"session; {evaluation['candidates_hold']:.1%} to one of the candidates. Rules rank all "
        "items. In brackets: standard error by bootstrap over sessions.",
        "",
        *_table(evaluation["metrics"]),
        "",
        *_gains(evaluation),
        "",
        *_test(evaluation.get("test")),
        "## Mind",
        "",
        "- Scores rank the items of one click; they are no probabilities.",
        "- An item that no earlier session had is named only where the session itself had it.",
        "- Sessions are taken to lie in the file in the order of their time.",
    ]
    return "\n".join(lines) + "\n"


def _table(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    names = list(metrics)
    head = "| metric | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    rows = [
        f"| {words} | " + " | ".join(cell(metrics[name][metric]) for name in names) + " |"
        for metric, words in _WORDS.items()
    ]
    return [head, "|" + " --- |" * (len(names) + 1), *rows]


def _gains(evaluation: Mapping[str, Any]) -> list[str]:
    """The gain over the best rule of each metric."""
    found = {words: gained(evaluation, metric) for metric, words in _WORDS.items()}
    return [
        f"- {words}: {each['difference']:+.4f} over {each['baseline'].replace('_', ' ')} "
        f"(95 % {each['low']:+.4f} to {each['high']:+.4f})"
        for words, each in found.items()
    ]


def _test(judged: Mapping[str, Any] | None) -> list[str]:
    if judged is None:
        return []
    words = (
        f"{judged['clicks']} clicks of {judged['sessions']} sessions that nothing was fitted to, "
        "by the model that is published."
    )
    table = _table(judged["metrics"])
    return ["## Judged on the test files", "", words, "", *table, "", *_gains(judged), ""]
