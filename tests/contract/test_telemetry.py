"""The declared list of metrics and the metrics that the code emits are the same."""

import re
from pathlib import Path

import prometheus_client
import pytest
import yaml

from shared.obs import metrics

DECLARED = yaml.safe_load(Path("infra/telemetry/metrics.yaml").read_text())
EMITTED = {
    metric._name + ("_total" if metric._type == "counter" else ""): metric
    for metric in vars(metrics).values()
    if isinstance(metric, prometheus_client.metrics.MetricWrapperBase)
}


def test_what_is_declared_is_what_is_emitted():
    assert [entry["name"] for entry in DECLARED] == list(EMITTED)
    for family in metrics.REGISTRY.collect():
        assert any(name.removesuffix("_total") == family.name for name in EMITTED)


@pytest.mark.parametrize("entry", DECLARED, ids=lambda entry: entry["name"])
def test_each_declaration_says_what_the_code_says(entry):
    metric = EMITTED[entry["name"]]
    assert entry["type"] == metric._type
    assert entry["labels"] == list(metric._labelnames)
    assert entry["help"] == metric._documentation


@pytest.mark.parametrize("entry", DECLARED, ids=lambda entry: entry["name"])
def test_names_say_service_noun_and_unit(entry):
    assert re.fullmatch(r"oriel_[a-z]+_[a-z_]+", entry["name"])
    unit = "total" if entry["type"] == "counter" else entry["unit"]
    assert entry["name"].endswith(f"_{unit}")
    assert entry["unit"] in entry["name"]


def test_the_reference_page_lists_every_metric():
    page = Path("docs/reference/metrics.md").read_text()
    for entry in DECLARED:
        labels = ", ".join(f"`{label}`" for label in entry["labels"]) or "none"
        assert f"| `{entry['name']}` | {entry['type']} | {labels} | {entry['help']} |" in page
