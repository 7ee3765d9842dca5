"""Nodes of a training group as processes that tests start, kill and stop."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from safetensors.numpy import load_file

from services.training.engine.environment import worker_environment

PATIENCE = 150


def start_node(*arguments):
    """A node process; its errors go to ours."""
    return subprocess.Popen(
        [sys.executable, "-m", "services.training.node", *map(str, arguments)],
        env=worker_environment(
            {
                "PATH": os.environ["PATH"],
                "JAX_PLATFORMS": "cpu",
                # Its bits are compared with ours, so it has to compile as we do.
                "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
            }
        ),
        stdout=subprocess.PIPE,
        text=True,
    )


class Training:
    """A coordinator and its nodes.

    Args:
        folder: For the order, the checkpoints and what comes out.
    """

    def __init__(self, order, folder: Path, workers, servers, *options):
        self._folder, self._options = folder, options
        self._workers, self._servers = workers, servers
        (folder / "order.json").write_text(json.dumps(order))
        self.nodes = []
        self._processes = []
        self.address = "127.0.0.1:0"
        self.start_coordinator()

    def start_coordinator(self):
        """Start it, again at the address that it had."""
        self.coordinator = start_node(
            *("--role", "coordinator", "--order", self._folder / "order.json"),
            *("--workers", self._workers, "--servers", self._servers),
            *("--listen", self.address, "--out", self._folder / "out", *self._options),
        )
        self._processes.append(self.coordinator)
        self.address = json.loads(self.coordinator.stdout.readline())["listening"]
        self._settled, self._changed = 0, threading.Condition()
        threading.Thread(target=self._listen, args=(self.coordinator,), daemon=True).start()

    def start_node(self, role):
        """Another node of that role."""
        node = start_node("--role", role, "--coordinator", self.address)
        self.nodes.append(node)
        self._processes.append(node)
        return node

    def wait_for(self, step):
        """Return when so many steps are settled."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._settled >= step, PATIENCE)

    def wait_until(self, is_true):
        """Return when that is so; asked after every step that is settled."""
        with self._changed:
            assert self._changed.wait_for(is_true, PATIENCE)

    def result(self):
        """Weights and losses, when the coordinator has ended well."""
        assert self.coordinator.wait(PATIENCE) == 0
        outcome = json.loads((self._folder / "out" / "outcome.json").read_text())
        return load_file(self._folder / "out" / "weights.safetensors"), outcome["losses"]

    def close(self):
        """Leave no process behind."""
        for process in self._processes:
            process.kill()
            process.wait()
            process.stdout.close()

    def _listen(self, coordinator):
        for line in coordinator.stdout:
            with self._changed:
                self._settled = json.loads(line).get("settled", self._settled)
                self._changed.notify_all()
