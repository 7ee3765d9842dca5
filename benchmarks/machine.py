"""What a result was measured on, and where it is kept."""

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def machine() -> dict[str, Any]:
    """Describe the processor, its cores, and how busy all of them were."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_of_all": [round(each, 1) for each in os.getloadavg()],
        "python": platform.python_version(),
    }


def keep(name: str, answer: dict[str, Any]) -> Path:
    """Write a result with its raw rounds."""
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    whole = {"machine": machine(), "commit": commit(), **answer}
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return path


def report(name: str, value: float, bound: str) -> None:
    """Print one bar in the form that is looked for."""
    print(f"bar {name} {value:.3f}  (needs {bound})", flush=True)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """Short name of what is checked out."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()
