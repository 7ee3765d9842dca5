"""The model card of a model of images: what it is, what it was fitted on and how it did."""

from collections.abc import Mapping
from typing import Any

from services.training.runs.card import cell

_WORDS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "calibration_error": "expected calibration error",
}


def image_card(manifest: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Markdown text from a manifest's and an evaluation's values; equal values, equal text."""
    height, width, channels = manifest["image_shape"]
    parts, config = manifest["parts"], manifest["config"]
    augment = ", ".join(f"{key} {value}" for key, value in config["augment"].items())
    training = ", ".join(f"{key} {value}" for key, value in config["training"].items())
    lines = [
        f"# {manifest['model']}",
        "",
        f"Answers {', '.join(manifest['predictions'])}: which of {len(manifest['classes'])} "
        f"classes an image of {height} x {width} pixels and {channels} "
        f"channel{'s' if channels > 1 else ''} is of, with a probability for each.",
        "",
        "## Fitted on",
        "",
        f"- dataset `{manifest['dataset_hash']}`: {parts['train']} images to fit on, "
        f"{parts['validation']} to stop early and calibrate on, {parts['test']} to judge on",
        f"- {config['model']['type']} of {manifest['parameter_count']} parameters in "
        f"{len(manifest['layers'])} layers; the weights of epoch {manifest['best_epoch']}",
        f"- training: {training}",
        f"- augmentation: {augment}",
        "",
        "## Judged on images it has not seen",
        "",
        "In brackets: standard error by bootstrap over the images. The baseline is a multinomial "
        f"logistic regression on the pixels of {manifest['baseline_rows']} images.",
        "",
        *_table(evaluation["metrics"]),
        "",
        "## Class by class",
        "",
        *_classes(evaluation),
        "",
        "## Mind",
        "",
        "- It names one of its classes for every image, also for one that shows none of them.",
        "- It was judged on images from the same source; others may be told worse.",
        f"- Probabilities are calibrated by one temperature, {manifest['temperature']:.3f}.",
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


def _classes(evaluation: Mapping[str, Any]) -> list[str]:
    """Recall of each class, and what it is taken for most often."""
    names = evaluation["classes"]
    rows = ["| class | images | recall | most often taken for |", "| --- | --- | --- | --- |"]
    for number, name in enumerate(names):
        recall = evaluation["recall"][name]
        others = {
            count: names[other]
            for other, count in reversed(list(enumerate(evaluation["confusion"][number])))
            if other != number and count
        }
        mistake = f"{others[max(others)]} ({max(others)})" if others else "none"
        rows.append(f"| {name} | {recall['count']} | {cell(recall)} | {mistake} |")
    return rows
