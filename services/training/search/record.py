"""What a search found, for people and for the version whose settings it chose."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.training.runs.comparing import MORE_IS_BETTER
from services.training.runs.result import RunResult
from services.training.search.space import Plan
from services.training.search.study import Trial, best, ranked

LEADERBOARD_FILE = "leaderboard.csv"
_CARD, _MIND = "model_card.md", "\n## Mind\n"


@dataclass(frozen=True)
class Record:
    """A search that has ended.

    Attributes:
        plan: What was tried.
        trials: All of them.
        words: On which rows, in words.
    """

    plan: Plan
    trials: tuple[Trial, ...]
    words: str

    @property
    def winner(self) -> Trial:
        """The settings chosen."""
        return best(self.trials)

    def told(self, result: RunResult) -> RunResult:
        """The result with the record in its manifest and model card and the leaderboard beside."""
        card = result.files[_CARD].decode()
        assert card.count(_MIND) == 1
        files = {
            **result.files,
            _CARD: card.replace(_MIND, f"\n{self._section()}{_MIND}").encode(),
            LEADERBOARD_FILE: leaderboard(self.plan, self.trials),
        }
        return replace(result, files=files, manifest={**result.manifest, "search": self._values()})

    def _values(self) -> dict[str, Any]:
        plan, winner = self.plan, self.winner
        return {
            "strategy": plan.strategy,
            "metric": plan.metric,
            "judged_on": self.words,
            "trials": len(self.trials) - 1,
            "stopped_early": sum(trial.is_stopped for trial in self.trials),
            "seeds": plan.seeds,
            "chosen": winner.number,
            "params": dict(winner.params),
            "score": _natural(plan, winner.mean),
            "score_of_file": _natural(plan, self.trials[0].mean),
        }

    def _section(self) -> str:
        told = self._values()
        seeds = "1 seed" if told["seeds"] == 1 else f"{told['seeds']} seeds"
        settings = ", ".join(f"{name} {_text(value)}" for name, value in told["params"].items())
        chosen = f"trial {told['chosen']}: {settings}" if settings else "the settings of the file"
        metric = told["metric"].replace("_", " ")
        return "\n".join(
            (
                "## Settings chosen by search",
                "",
                f"- {told['trials']} settings beside those of the file, proposed by "
                f"{told['strategy']}; {told['stopped_early']} were stopped early",
                f"- judged by {metric} on {told['judged_on']}; the best with {seeds}",
                f"- chosen: {chosen}",
                f"- {metric} there: {told['score']:.4f}, with the settings of the file "
                f"{told['score_of_file']:.4f}; of the best of many such a number flatters",
                "",
            )
        )


def leaderboard(plan: Plan, trials: Sequence[Trial]) -> bytes:
    """The table of all trials, the best first, as CSV."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["place", "trial", plan.metric, "seeds", "parts", "state", *plan.space])
    for place, trial in enumerate(ranked(trials), start=1):
        value = f"{_natural(plan, trial.mean):.6f}" if trial.scores else ""
        settings = [_text(trial.params.get(name, "")) for name in plan.space]
        seeds = 1 + len(trial.seed_scores)
        row = [place, trial.number, value, seeds, len(trial.scores), _state(trial)]
        out.writerow([*row, *settings])
    return text.getvalue().encode()


def progress_words(plan: Plan, trials: Sequence[Trial]) -> str:
    """How far a search is and the best so far."""
    found, stopped = best(trials), sum(trial.is_stopped for trial in trials)
    where = f"trial {found.number}" if found.number else "the file"
    return (
        f"search: {len(trials) - 1} of {plan.count} trials, {stopped} stopped early; best "
        f"{plan.metric.replace('_', ' ')} {_natural(plan, found.mean):.4f} by {where}"
    )


def _natural(plan: Plan, score: float) -> float:
    return -score if plan.metric in MORE_IS_BETTER else score


def _state(trial: Trial) -> str:
    if trial.failure:
        return f"failed: {trial.failure}"
    if trial.is_stopped:
        return "stopped early"
    return "whole" if trial.number else "whole; the settings of the file"


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
