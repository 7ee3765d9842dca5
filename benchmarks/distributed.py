"""Training on several nodes: what overlap gains, and ours beside PyTorch and TensorFlow.

`python -m benchmarks distributed [PART…]`; parts are measured alone, and kept beside the others.
"""

import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import distributed_figures as figures
from benchmarks import distributed_lenet as lenet
from benchmarks import distributed_overlap as overlap
from benchmarks import distributed_table2 as table2
from benchmarks.distributed_rounds import medians
from benchmarks.machine import ROOT, commit, keep, report
from benchmarks.readme import write_section
from benchmarks.table2 import EPOCHS

OVERLAP = {f"overlap_{rate}": rate for rate in overlap.STEPS}
TABLE2 = {f"table2_{name}": name for name in EPOCHS}
FIGURES = "figures"
NEEDS = {**overlap.NEEDS, **lenet.NEEDS}
KEPT = ROOT / "benchmarks" / "results" / "distributed.json"

Part = Mapping[str, Any]


def main(names: Sequence[str] = ()) -> None:
    """Measure the parts named, or all of them; print their bars and keep the raw rounds."""
    # So that what was started and made is ended and unmade.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = names or (*OVERLAP, *lenet.BATCHES, *TABLE2, FIGURES)
    parts = json.loads(KEPT.read_text(encoding="utf-8"))["parts"] if KEPT.exists() else {}
    for name, part in measured(wanted):
        parts[name] = {"commit": commit(), **part}
        for bar, value in bars(name, part).items():
            report(bar, value, need(bar))
        keep("distributed", {"parts": parts})
        write_section("distributed", table(parts))
    if {FIGURES, "lenet_small"} <= set(parts):
        figures.draw(parts)


def measured(names: Sequence[str]) -> Iterator[tuple[str, Part]]:
    """The parts of these names, as they are done."""
    rates = [OVERLAP[name] for name in names if name in OVERLAP]
    for rate, part in overlap.measure(rates) if rates else ():
        yield f"overlap_{rate}", part
    for name in names:
        if name in lenet.BATCHES:
            yield name, lenet.measure(name)
        if name in TABLE2:
            yield name, table2.measure(TABLE2[name])
        if name == FIGURES:
            yield name, figures.measure()


def bars(name: str, part: Part) -> dict[str, float]:
    """What a part answers."""
    if name in OVERLAP:
        return overlap.bars(OVERLAP[name], part)
    return lenet.bars(name, part) if name in lenet.BATCHES else {}


def need(bar: str) -> str:
    """What is asked of a bar."""
    return f"at least {NEEDS[bar]}" if bar in NEEDS else "no bar"


def table(parts: Mapping[str, Part]) -> str:
    """The bars, all medians, Table 2's rows once all its sets are measured, accelerations."""
    lines = ["| bar | needs | measured |", "|---|---|---|"]
    for name, part in parts.items():
        for bar, value in bars(name, part).items():
            lines.append(f"| `{bar}` | {need(bar)} | {value:.2f} |")
    lines += ["", "| part, commit | ms a step |", "|---|---|"]
    for name, part in parts.items():
        found = medians(part.get("rounds", {}))
        if not found:
            continue
        times = ", ".join(f"{each} {1e3 * seconds:.1f}" for each, seconds in found.items())
        lines.append(f"| {name}, {part['commit']} | {times} |")
    if set(TABLE2) <= set(parts):
        sets = {name: parts[part] for part, name in TABLE2.items()}
        lines += ["", *table2.table(sets)]
    if FIGURES in parts:
        lines += ["", *figures.table(parts[FIGURES])]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
