"""A search as a step of a run: the config as ordered in, the config with the best settings out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol

import optuna

from services.training.runs.config import RunConfig
from services.training.runs.folder import RunFolder
from services.training.runs.result import RunResult
from services.training.runs.table_config import TableRunConfig
from services.training.search.kept import KeptTrials
from services.training.search.record import LEADERBOARD_FILE, Record, leaderboard, progress_words
from services.training.search.scores import TableScores, UserScores
from services.training.search.space import Config, Plan, params_of, with_params
from services.training.search.study import FINALISTS, Search, Trial
from shared.dataset import DatasetReader
from shared.dataset.tables import TableDatasetReader

_TRIALS_FILE = "trials.json"


class Reporter(Protocol):
    """Hears how far a search is."""

    def progress(self, completed: int, total: int, message: str) -> None:
        """So many of so many fits of settings are done."""
        ...


@dataclass(frozen=True)
class Chosen(Generic[Config]):
    """A config, and the search behind it where there was one."""

    config: Config
    record: Record | None = None

    def told(self, result: RunResult) -> RunResult:
        """The run's result with what the search found."""
        return result if self.record is None else self.record.told(result)


def choose_for_users(
    reader: DatasetReader,
    config: RunConfig,
    plan: Mapping[str, Any],
    folder: RunFolder,
    reporter: Reporter,
) -> Chosen[RunConfig]:
    """The config with the best settings; as it is where the plan is empty."""
    if not plan:
        return Chosen(config)
    asked = Plan.read(plan)
    scores = UserScores(reader, config, asked.metric)
    trials = _searched(asked, config, scores, folder, reporter)
    record = Record(asked, tuple(trials), scores.parts.words)
    return Chosen(with_params(config, record.winner.params), record)


def choose_for_table(
    reader: TableDatasetReader,
    config: TableRunConfig,
    plan: Mapping[str, Any],
    folder: RunFolder,
    reporter: Reporter,
) -> Chosen[TableRunConfig]:
    """The same for a table, whose first folds are then not judged."""
    if not plan:
        return Chosen(config)
    asked = Plan.read(plan)
    scores = TableScores(reader, config, asked.metric)
    trials = _searched(asked, config, scores, folder, reporter)
    folds = "the first fold" if scores.fold_count == 1 else f"the first {scores.fold_count} folds"
    words = f"{scores.parts.words} of {folds}, which are left out of the cross-validation above"
    record = Record(asked, tuple(trials), words)
    chosen = with_params(config, record.winner.params)
    return Chosen(replace(chosen, folds_searched=scores.fold_count), record)


def _searched(
    plan: Plan,
    config: RunConfig | TableRunConfig,
    scores: UserScores | TableScores,
    folder: RunFolder,
    reporter: Reporter,
) -> list[Trial]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # one line a trial is ours to say

    def hear(trials: Sequence[Trial]) -> None:
        folder.write(LEADERBOARD_FILE, leaderboard(plan, trials))
        again = plan.seeds - 1
        total = 1 + plan.count + (1 + min(FINALISTS, plan.count)) * again
        done = len(trials) + sum(len(trial.seed_scores) for trial in trials)
        reporter.progress(done, total, progress_words(plan, trials))

    return Search(
        plan=plan,
        usual=params_of(config, plan.space),
        seed=config.seed,
        score=scores,
        store=KeptTrials(folder.path / _TRIALS_FILE, folder.identity()),
        hear=hear,
    ).run()
