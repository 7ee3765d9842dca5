"""A model of sequences is refused where there are none."""

import pytest

from services.training.adapters.questions import config_of
from services.training.runs.config import RunConfig
from shared.config.prediction import shipped_text
from shared.errors import InvalidArgumentError


def test_a_model_of_sequences_needs_the_sequence():
    text = shipped_text("churn_90d").replace("type: mlp", "type: lstm")
    with pytest.raises(InvalidArgumentError, match="add 'sequence' to features"):
        config_of([text], 0, RunConfig())
    config_of([text.replace("trends]", "trends, sequence]")], 0, RunConfig())
