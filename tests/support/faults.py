"""Kills the main job at seeded moments, starts it again and compares what it leaves.

`python -m tests.support.faults --seed 1` prints a row a moment and exits 1 on any difference.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PRODUCT, QUICK = "app", "tests.support.quick_oriel"
_STOP_SECONDS = 600


@dataclass(frozen=True)
class Outcome:
    """What a finished run left."""

    dataset: str
    predictions: str
    report: str
    contacts: str
    events: int
    lines: int
    rejected: int


@dataclass(frozen=True)
class Trial:
    """One run that was killed and started again."""

    moments: tuple[float, ...]
    stages: tuple[str, ...]
    outcome: Outcome | None
    seconds: float


def main() -> int:
    """Run the trials that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--users", type=int, default=150)
    parser.add_argument("--full", action="store_true", help="train as the product does")
    parser.add_argument("--events", type=Path, help="a file instead of the simulator")
    arguments = parser.parse_args()
    options = job_options(arguments.users, arguments.events, is_full=arguments.full)
    with tempfile.TemporaryDirectory(prefix="oriel-faults-") as folder:
        expected, seconds = reference(Path(folder), options)
        say(f"reference: {seconds:.1f} s, {expected}")
        rng = random.Random(arguments.seed)
        failures = 0
        for number in range(arguments.moments):
            moment = rng.uniform(0.02, 0.98) * seconds
            trial = kill_and_restart(Path(folder) / f"trial-{number}", options, [moment])
            is_same = trial.outcome == expected
            failures += not is_same
            verdict = "same" if is_same else f"DIFFERENT {trial.outcome}"
            say(f"{number + 1:>3}  killed at {moment:6.1f} s  {trial.stages[0]:<24}  {verdict}")
            if is_same:
                shutil.rmtree(Path(folder) / f"trial-{number}")
    say(f"seed {arguments.seed}: {arguments.moments - failures} of {arguments.moments} the same")
    return 1 if failures else 0


def job_options(users: int, events: Path | None = None, *, is_full: bool = False) -> list[str]:
    """Return the module and the options of the job under test."""
    job = [PRODUCT if is_full else QUICK, "run"]
    if events is not None:
        return [*job, "--events", str(events.resolve())]
    return [*job, "--users", str(users)]


def reference(folder: Path, options: Sequence[str]) -> tuple[Outcome, float]:
    """Run the job undisturbed; return what it leaves and how long it takes."""
    started = time.monotonic()
    out = folder / "reference"
    run_to_end(out, options)
    return outcome_of(out), time.monotonic() - started


def kill_and_restart(out: Path, options: Sequence[str], moments: Sequence[float]) -> Trial:
    """Start the job, kill it after each of some seconds, then let it end."""
    started = time.monotonic()
    stages = []
    for moment in moments:
        process = start(out, options)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moment)
        # The job alone, not its workers: what it leaves behind must not hurt the next.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        stages.append(last_stage(out))
    run_to_end(out, options)
    return Trial(tuple(moments), tuple(stages), outcome_of(out), time.monotonic() - started)


def start(out: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the job in a process of its own."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", *options, "--out", str(out)]
    with (out / "output.txt").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdout=log,
            stderr=log,
            env={key: value for key, value in os.environ.items() if key != "ORIEL_HOME"},
        )


def run_to_end(out: Path, options: Sequence[str]) -> None:
    """Run the job until it has ended by itself."""
    process = start(out, options)
    try:
        code = process.wait(timeout=_STOP_SECONDS)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code != 0:
        raise RuntimeError(
            f"the job ended with {code}:\n{(out / 'output.txt').read_text()[-4000:]}"
        )


def outcome_of(out: Path) -> Outcome:
    """Read what a finished run left."""
    summary = json.loads((out / "summary.json").read_text())
    files, totals = summary["files_sha256"], summary["totals"]
    return Outcome(
        dataset=summary["datasets"]["training"]["content_hash"],
        predictions=files["predictions.csv"],
        report=files["report.html"],
        contacts=files["contacts.csv"],
        events=totals["events"],
        lines=totals["lines"],
        rejected=totals["rejected"],
    )


def last_stage(out: Path) -> str:
    """Say how far the job had come, by what lies in its folder."""
    workspace = out / "workspace"
    signs = (
        ("published", out / "summary.json"),
        ("writing results", out / ".partial"),
        ("predicted", workspace / "exports"),
        ("model published", workspace / "registry"),
        ("training", workspace / "runs"),
        ("building datasets", workspace / "datasets"),
        ("importing", workspace / "warehouse"),
    )
    return next((name for name, path in signs if path.exists()), "starting")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
