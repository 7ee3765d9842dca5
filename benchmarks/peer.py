"""A peer in an environment of its own, told what to do a line at a time."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

_PEERS = Path(__file__).parent / "peers"


def environment(name: str) -> Path:
    """Return the interpreter of a peer's environment, filling it on first use."""
    folder = _PEERS / name / ".venv"
    python, stamp = folder / "bin" / "python", folder / ".ready"
    wanted = (_PEERS / name / "requirements.txt").read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"filling {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        requirements = str(_PEERS / name / "requirements.txt")
        subprocess.run([*pip, "--requirement", requirements], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


class Peer:
    """A running peer; one JSON line in, one JSON line out."""

    def __init__(self, name: str, script: str, settings: dict[str, Any]) -> None:
        command = [str(environment(name)), str(_PEERS / name / script), json.dumps(settings)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the peer ended; its error is above")
        answer: dict[str, Any] = json.loads(line)
        return answer
