"""What a thorough run searches for, from the prediction files of its request."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.training.runs.config import AnyRunConfig, RunConfig
from services.training.runs.table_config import TableRunConfig
from services.training.search.space import Plan
from shared.config.prediction import parse_prediction
from shared.config.table import parse_table_prediction
from shared.errors import InvalidArgumentError

_METRICS: Mapping[str, str] = {
    "churn": "log_loss",
    "purchase": "log_loss",
    "value": "normalised_gini",
    "segment": "segment_log_loss",
}


def search_of(prediction_files: Sequence[str], config: AnyRunConfig) -> dict[str, Any]:
    """The values of the plan by which the settings of the only file are searched for.

    Raises:
        InvalidArgumentError: There are several files, a setting is wrong, or the question is one
            whose settings are not searched for.
    """
    if len(prediction_files) != 1:
        raise InvalidArgumentError(
            "prediction_files: settings are searched for one question; start a run for each file",
            reason="PREDICTION_FILES_DIFFER",
        )
    (text,) = prediction_files
    if isinstance(config, TableRunConfig) and not config.is_text:
        table = parse_table_prediction(text)
        return Plan.of(table.search, "log_loss", config).values()
    if isinstance(config, RunConfig) and not config.awaited:
        users = parse_prediction(text)
        return Plan.of(users.search, _METRICS[users.target.kind], config).values()
    raise InvalidArgumentError(
        "settings are searched for churn by orders, purchase, value and segment of users, and for "
        "tables; train this question without --thorough",
        reason="SEARCH_NOT_FOR_QUESTION",
    )
