"""Finds the fastest schedule by trying: all give the same bits, so trying costs only time."""

from collections.abc import Sequence

from services.training.engine.ps.schedule import KIB, Schedule

CANDIDATES = (
    Schedule("prio", 4096 * KIB),
    Schedule("prio", 1024 * KIB),
    Schedule("prio", 256 * KIB),
    Schedule("prio", 64 * KIB),
    Schedule("wfbp", 4096 * KIB),
    Schedule("wfbp", 1024 * KIB),
    Schedule("end", 4096 * KIB),
)
"""The more a schedule hides of the wire, and in the fewer messages, the earlier it stands."""

TIE = 1.03
"""So much longer than the fastest is no longer by what trials can tell; then the earlier one is
kept, which also loses least when the wire becomes slower."""

WARM_UP_STEPS = 2
"""Steps of the first round, in which programs are compiled."""

TRIAL_STEPS = 4
"""Steps of a trial; the first is not timed, because the schedule before it reaches into it."""

FINALISTS = 4
"""After one trial of each, so many go on: most are far from the fastest."""

FINAL_ROUNDS = 3


class Tuner:
    """Plans a trial of every candidate and more of the fastest, then keeps the fastest.

    Args:
        first: The first step that is planned.

    Attributes:
        end: The first step after all trials.
    """

    def __init__(self, first: int, candidates: Sequence[Schedule] = CANDIDATES) -> None:
        self._first = first
        self._candidates = tuple(candidates)
        self._finalists: tuple[Schedule, ...] = ()
        self._planned: dict[int, Schedule] = {}
        self._timed: dict[Schedule, list[float]] = {each: [] for each in self._candidates}
        self._last: tuple[int, float] | None = None
        count = len(self._candidates)
        self._warm = first + count * WARM_UP_STEPS
        trials = count + FINAL_ROUNDS * min(FINALISTS, count)
        self.end = self._warm + trials * TRIAL_STEPS

    @property
    def best(self) -> Schedule:
        """The earliest of the fastest so far; before anything was timed, the first candidate."""
        among = self._finalists or self._candidates
        fastest = min(map(self._seconds, among))
        return next(
            each
            for each in self._candidates
            if each in among and self._seconds(each) <= TIE * fastest
        )

    def schedule(self, step: int) -> Schedule:
        """How that step is to go; the same answer whenever it is asked for."""
        if step not in self._planned:
            self._planned[step] = self._plan(step)
        return self._planned[step]

    def settled(self, step: int, seconds: float) -> None:
        """All steps before that one are settled at that time."""
        if self._last is not None and step == self._last[0] + 1:
            done = self._last[0]
            is_trial = self._warm <= done < self.end and (done - self._warm) % TRIAL_STEPS
            if is_trial:
                self._timed[self.schedule(done)].append(seconds - self._last[1])
        self._last = (step, seconds)
        self._planned = {each: plan for each, plan in self._planned.items() if each >= step}

    def _plan(self, step: int) -> Schedule:
        if step < self._warm:
            return self._candidates[(step - self._first) // WARM_UP_STEPS]
        if step >= self.end:
            return self.best
        trial = (step - self._warm) // TRIAL_STEPS
        if trial < len(self._candidates):
            return self._candidates[trial]
        if not self._finalists:
            self._finalists = tuple(sorted(self._candidates, key=self._seconds)[:FINALISTS])
        return self._finalists[(trial - len(self._candidates)) % len(self._finalists)]

    def _seconds(self, schedule: Schedule) -> float:
        """Lower quartile of a step's: what disturbs a step only makes it longer."""
        times = sorted(self._timed[schedule])
        return times[len(times) // 4] if times else float("inf")
