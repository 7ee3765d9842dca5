"""Trials of settings one after another: what to try next, when to stop it, and which is best."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from statistics import fmean
from typing import Any, Protocol

import optuna

from services.training.search.space import Params, Plan
from shared.config.search import Dimension
from shared.errors import DomainError

Score = Callable[[Params, int], Iterator[float]]
"""Scores of settings with a seed, part by part of the rows; less is better."""

FINALISTS = 3
"""Settings beside those of the file that are fitted with all seeds."""

_TRIALS_BEFORE_STOPPING = 4
_TRIALS_BEFORE_TPE = 8


@dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Attributes:
        number: From 1 on; 0 is the settings of the file.
        params: The settings; empty for those of the file.
        scores: Of each part of the rows, as far as it came.
        is_stopped: Whether it was stopped before its last part.
        seed_scores: The mean score with each further seed.
        failure: Why it could not be fitted; empty where it could.
    """

    number: int
    params: Params
    scores: tuple[float, ...] = ()
    is_stopped: bool = False
    seed_scores: tuple[float, ...] = ()
    failure: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it has a score of every part."""
        return not self.is_stopped and not self.failure

    @property
    def score(self) -> float:
        """Mean over the parts of the first seed."""
        return fmean(self.scores)

    @property
    def mean(self) -> float:
        """Mean over all seeds it was fitted with."""
        return fmean((self.score, *self.seed_scores))


class TrialStore(Protocol):
    """Remembers trials, so that a search that was killed goes on."""

    def read(self) -> list[Trial]:
        """Those of this search, in order."""
        ...

    def write(self, trials: Sequence[Trial]) -> None:
        """Keep them all; durable when it returns."""
        ...


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        plan: What is tried.
        usual: Settings of the file, where the space holds them.
        seed: Of the proposals, and the first one that settings are fitted with.
        score: Fits and judges settings.
        store: Remembers trials.
        hear: Told of all trials whenever one has ended.
    """

    plan: Plan
    usual: Params | None
    seed: int
    score: Score
    store: TrialStore
    hear: Callable[[Sequence[Trial]], None] = field(default=lambda _: None)

    def run(self) -> list[Trial]:
        """Every trial; the finalists have been fitted with all seeds.

        What is tried next follows from the plan, the seed and the trials before, so a search that
        was killed and goes on ends as one that was not.
        """
        trials = self.store.read()
        if not trials:
            trials = [Trial(0, {}, tuple(self.score({}, self.seed)))]
            self._keep(trials)
        while len(trials) <= self.plan.count:
            trials.append(self._next(trials))
            self._keep(trials)
        for number in finalists(trials):
            while len(trials[number].seed_scores) < self.plan.seeds - 1:
                trials[number] = self._again(trials[number])
                self._keep(trials)
        return trials

    def _next(self, trials: Sequence[Trial]) -> Trial:
        number = len(trials)
        study = _study(self.plan, self.usual, trials, self.seed)
        if self.plan.strategy == "grid":
            study.enqueue_trial(dict(self.plan.points()[number - 1]))
        asked = study.ask()
        params = {name: _suggested(asked, name, each) for name, each in self.plan.space.items()}
        same = next((trial for trial in trials[1:] if trial.params == params), None)
        if same is not None:  # few lists have few combinations; none is fitted twice
            return replace(same, number=number)
        usual, scores = trials[0].scores, list[float]()
        try:
            for step, score in enumerate(self.score(params, self.seed)):
                if not isfinite(score):
                    return Trial(number, params, tuple(scores), failure="no finite score")
                scores.append(score)
                asked.report(_against(scores, usual), step)
                if step + 1 < len(usual) and asked.should_prune():
                    return Trial(number, params, tuple(scores), is_stopped=True)
        except DomainError as error:  # settings may be such that nothing can be fitted with them
            return Trial(number, params, tuple(scores), failure=error.message)
        return Trial(number, params, tuple(scores))

    def _again(self, trial: Trial) -> Trial:
        seed = self.seed + len(trial.seed_scores) + 1
        score = fmean(self.score(trial.params, seed))
        return replace(trial, seed_scores=(*trial.seed_scores, score))

    def _keep(self, trials: Sequence[Trial]) -> None:
        self.store.write(trials)
        self.hear(trials)


def finalists(trials: Sequence[Trial]) -> list[int]:
    """Numbers of the settings of the file and of the best few of all others, each once."""
    first = {repr(sorted(t.params.items())): t for t in reversed(trials[1:]) if t.is_whole}
    whole = sorted(first.values(), key=lambda t: (t.score, t.number))
    return [0, *(trial.number for trial in whole[:FINALISTS])]


def best(trials: Sequence[Trial]) -> Trial:
    """The finalist with the least mean over seeds; the settings of the file win a draw."""
    return min((trials[number] for number in finalists(trials)), key=lambda t: (t.mean, t.number))


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """The best first: finalists, then whole trials, then stopped ones, then those that failed."""
    last = set(finalists(trials))

    def place(trial: Trial) -> tuple[Any, ...]:
        score = trial.mean if trial.scores else 0.0
        is_cut = -len(trial.scores) if trial.is_stopped else 0
        return trial.number not in last, bool(trial.failure), trial.is_stopped, is_cut, score

    return sorted(trials, key=place)


def _study(
    plan: Plan, usual: Params | None, trials: Sequence[Trial], seed: int
) -> "optuna.study.Study":
    """A study that knows these trials; its own number seeds each proposal."""
    seed = (seed * 10_007 + len(trials)) % 2**32
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    if plan.strategy == "tpe":
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_TRIALS_BEFORE_TPE)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_TRIALS_BEFORE_STOPPING)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    distributions = {name: _distribution(each) for name, each in plan.space.items()}
    for trial in trials:
        params = usual if trial.number == 0 else trial.params
        if params is None or not trial.scores:
            continue
        reports = [
            _against(trial.scores[: step + 1], trials[0].scores)
            for step in range(len(trial.scores))
        ]
        states = optuna.trial.TrialState
        study.add_trial(
            optuna.trial.create_trial(
                state=states.COMPLETE if trial.is_whole else states.PRUNED,
                value=reports[-1],
                params=dict(params),
                distributions=distributions,
                intermediate_values=dict(enumerate(reports)),
            )
        )
    return study


def _against(scores: Sequence[float], usual: Sequence[float]) -> float:
    """How much worse than the file's settings, so that parts that are hard for all do not count."""
    return fmean(score - other for score, other in zip(scores, usual, strict=False))


def _distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    low, high = dimension.low, dimension.high
    if isinstance(low, int) and isinstance(high, int):
        return optuna.distributions.IntDistribution(low, high, log=dimension.is_log)
    return optuna.distributions.FloatDistribution(low, high, log=dimension.is_log)


def _suggested(trial: optuna.trial.Trial, name: str, dimension: Dimension) -> Any:
    if dimension.choices:
        return trial.suggest_categorical(name, dimension.choices)
    low, high = dimension.low, dimension.high
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=dimension.is_log)
    return trial.suggest_float(name, low, high, log=dimension.is_log)
