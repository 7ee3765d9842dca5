"""Training steps beside PyTorch: same network, same batch, same cores, in turns.

A bar is the peer's median seconds a step divided by ours. PyTorch runs in an environment of its
own, made on first use, in both memory layouts; its faster one counts.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.training_cases import CASES
from benchmarks.training_rounds import Contestant, Running, interleave
from services.training.engine.environment import worker_environment

HERE = Path(__file__).parent
ROUNDS = 7
BARS = {
    "lenet_torch_core": "lenet",
    "resnet50_torch": "resnet50",
    "mlp_torch": "mlp",
    "lstm_torch": "lstm",
    "transformer_torch": "transformer",
}


def main(names: Sequence[str] = ()) -> None:
    """Measure the bars named, or all of them; print them and keep the raw rounds."""
    results = {}
    for bar in names or BARS:
        case_name = BARS[bar]
        rounds = measure(case_name)
        ours = statistics.median(rounds["ours"])
        best, seconds = min(
            (statistics.median(times), name) for name, times in rounds.items() if name != "ours"
        )[::-1]
        results[bar] = {"case": CASES[case_name].as_json(), "seconds_a_step": rounds}
        print(f"{bar}: ours {1e3 * ours:.2f} ms, {best} {1e3 * seconds:.2f} ms a step")
        print(f"bar {bar} {seconds / ours:.3f}", flush=True)
    kept = HERE / "results" / "training.json"
    kept.parent.mkdir(exist_ok=True)
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    kept.write_text(json.dumps({**before, **results}, indent=1) + "\n", encoding="utf-8")


def measure(case_name: str) -> dict[str, list[float]]:
    """Seconds a step of each round, by contestant."""
    case = CASES[case_name]
    memory = worker_environment({})
    contestants = [
        Contestant("ours", [sys.executable, "-m", "benchmarks.training_ours"], memory),
        *peers(has_layouts=len(case.shape) == 3),
    ]
    with ExitStack() as stack:
        running = [
            stack.enter_context(Running(each, case.as_json(), case.cores)) for each in contestants
        ]
        return interleave(running, ROUNDS)


def peers(*, has_layouts: bool) -> list[Contestant]:
    """PyTorch in each layout the case has; its memory gets the same settings as ours."""
    command = [str(environment()), str(HERE / "peers" / "torch" / "steps.py")]
    layouts = ["contiguous", "channels_last"] if has_layouts else ["contiguous"]
    memory = worker_environment({})
    return [Contestant(f"torch {layout}", [*command, layout], memory) for layout in layouts]


def environment() -> Path:
    """The interpreter of PyTorch's own environment, made from its requirements on first use."""
    folder = HERE / "peers" / "torch"
    python = folder / ".venv" / "bin" / "python"
    if not python.exists():
        print("making PyTorch's environment", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "-r", folder / "requirements.txt"]
        subprocess.run(install, check=True)
    return python


if __name__ == "__main__":
    main(sys.argv[1:])
