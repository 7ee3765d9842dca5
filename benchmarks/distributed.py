"""Training on several nodes: what overlap gains, and ours beside PyTorch and TensorFlow.

`python -m benchmarks distributed [PART…]`; parts are measured alone, and kept beside the others.
"""

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import distributed_lenet as lenet
from benchmarks import distributed_overlap as overlap
from benchmarks.distributed_rounds import medians
from benchmarks.machine import ROOT, commit, keep, report
from benchmarks.readme import write_section

OVERLAP = {f"overlap_{rate}": rate for rate in overlap.STEPS}
NEEDS = {**overlap.NEEDS, **lenet.NEEDS}


def main(names: Sequence[str] = ()) -> None:
    """Measure the parts named, or all of them; print their bars and keep the raw rounds."""
    # So that what was started and made is ended and unmade.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kept = ROOT / "benchmarks" / "results" / "distributed.json"
    parts = json.loads(kept.read_text(encoding="utf-8"))["parts"] if kept.exists() else {}
    for name in names or (*OVERLAP, *lenet.BATCHES):
        measure = overlap.measure if name in OVERLAP else lenet.measure
        parts[name] = {"commit": commit(), **measure(OVERLAP.get(name, name))}
        for bar, value in bars(name, parts[name]).items():
            report(bar, value, need(bar))
        keep("distributed", {"parts": parts})
        write_section("distributed", table(parts))


def bars(name: str, part: Mapping[str, Any]) -> dict[str, float]:
    """What a part answers."""
    return overlap.bars(part) if name in OVERLAP else lenet.bars(name, part)


def need(bar: str) -> str:
    """What is asked of a bar."""
    return f"at least {NEEDS[bar]}" if bar in NEEDS else "no bar"


def table(parts: Mapping[str, Any]) -> str:
    """The bars, then all medians."""
    lines = ["| bar | needs | measured |", "|---|---|---|"]
    for name, part in parts.items():
        for bar, value in bars(name, part).items():
            lines.append(f"| `{bar}` | {need(bar)} | {value:.2f} |")
    lines += ["", "| part, commit | ms a step |", "|---|---|"]
    for name, part in parts.items():
        found = medians(part["rounds"])
        times = ", ".join(f"{each} {1e3 * seconds:.1f}" for each, seconds in found.items())
        lines.append(f"| {name}, {part['commit']} | {times} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
