"""A cluster of parameter servers as a discrete-event simulation, calibrated on measured traces.

For more nodes than a machine has cores. Every node is a worker and a server of its share of each
layer, with one core and one full-duplex link. On the core, communication goes before computation,
as small tasks of the kernel's scheduler do.
"""

import heapq
import itertools
import random
import statistics
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

Schedule = Literal["end", "wfbp", "prio"]
Act = Callable[[], None]
SEED = 0


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs a worker for its share of a batch."""

    parameter_bytes: int
    forward_seconds: float
    backward_seconds: float


@dataclass(frozen=True)
class NodeCost:
    """Seconds of a core: for each byte handled, and once a step for what no layer accounts for."""

    send_seconds_a_byte: float
    receive_seconds_a_byte: float
    update_seconds_a_byte: float
    step_seconds: float = 0.0


@dataclass(frozen=True)
class Network:
    """A link of each node, the same both ways."""

    bytes_a_second: float
    latency_seconds: float = 0.0


def step_seconds(
    layers: Sequence[LayerCost],
    node_count: int,
    cost: NodeCost,
    network: Network,
    *,
    schedule: Schedule = "prio",
    chunk_bytes: int = 262_144,
    paces: Sequence[float] = (1.0,),
    steps: int = 6,
) -> float:
    """Median seconds of a step once the pipeline is full; the first step is left out.

    Args:
        paces: How long computing takes over its usual time; each step of each node draws one. What
            disturbs one node makes all wait, so undisturbed nodes would be too fast together.
    """
    drawn = random.Random(SEED)
    cluster = _Cluster(layers, node_count, cost, network, schedule, chunk_bytes, steps)
    ends = cluster.run([[drawn.choice(paces) for _ in range(steps)] for _ in range(node_count)])
    return statistics.median(later - earlier for earlier, later in pairwise(ends))


class _Clock:
    """Acts in the order of their times, and of their making where times are equal."""

    def __init__(self) -> None:
        self.now = 0.0
        self._acts: list[tuple[float, int, Act]] = []
        self._number = itertools.count()

    def after(self, seconds: float, act: Act) -> None:
        heapq.heappush(self._acts, (self.now + seconds, next(self._number), act))

    def run(self) -> None:
        while self._acts:
            self.now, _, act = heapq.heappop(self._acts)
            act()


class _Line:
    """One message at a time; the waiting one with the lowest rank next."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[int, int, float, Act, Act]] = []
        self._number = itertools.count()
        self._is_busy = False

    def put(self, rank: int, seconds: float, begun: Act, done: Act) -> None:
        heapq.heappush(self._waiting, (rank, next(self._number), seconds, begun, done))
        if not self._is_busy:
            self._next()

    def _next(self) -> None:
        self._is_busy = bool(self._waiting)
        if self._is_busy:
            _, _, seconds, begun, done = heapq.heappop(self._waiting)
            begun()
            self._clock.after(seconds, lambda: self._end(done))

    def _end(self, done: Act) -> None:
        done()
        self._next()


class _Core:
    """Communication first; computation goes on where it was interrupted."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        self._urgent: deque[tuple[float, Act]] = deque()
        self._is_urgent = False
        self._left = 0.0
        self._done: Act | None = None
        self._started = 0.0
        self._turn = 0

    def communicate(self, seconds: float, done: Act) -> None:
        self._urgent.append((seconds, done))
        if not self._is_urgent:
            if self._done:
                self._left -= self._clock.now - self._started
            self._next()

    def compute(self, seconds: float, done: Act) -> None:
        self._left, self._done = seconds, done
        if not self._is_urgent:
            self._go_on()

    def _next(self) -> None:
        self._turn += 1
        self._is_urgent = bool(self._urgent)
        if self._is_urgent:
            seconds, done = self._urgent.popleft()
            self._clock.after(seconds, lambda: self._end(done))
        elif self._done:
            self._go_on()

    def _end(self, done: Act) -> None:
        done()
        self._next()

    def _go_on(self) -> None:
        self._started, turn = self._clock.now, self._turn

        def end() -> None:
            if turn == self._turn and self._done:
                done, self._done = self._done, None
                done()

        self._clock.after(max(self._left, 0.0), end)


@dataclass(frozen=True)
class _Chunk:
    layer: int
    number: int
    owner: int
    size: int


class _Cluster:
    def __init__(
        self,
        layers: Sequence[LayerCost],
        node_count: int,
        cost: NodeCost,
        network: Network,
        schedule: Schedule,
        chunk_bytes: int,
        steps: int,
    ) -> None:
        self._layers, self._nodes, self._cost, self._network = layers, node_count, cost, network
        self._schedule, self._steps = schedule, steps
        self._chunks = [
            _chunks(number, layer.parameter_bytes, node_count, chunk_bytes)
            for number, layer in enumerate(layers)
        ]
        self._clock = _Clock()
        self._cores = [_Core(self._clock) for _ in range(node_count)]
        self._up = [_Line(self._clock) for _ in range(node_count)]
        self._down = [_Line(self._clock) for _ in range(node_count)]
        self._contributions: Counter[tuple[int, _Chunk]] = Counter()
        # [node][layer]: chunks of new values that have come, over all steps
        self._values = [[0] * len(layers) for _ in range(node_count)]
        self._waiting: list[tuple[int, int] | None] = [None] * node_count
        self._ends: Counter[int] = Counter()
        self._end_times: list[float] = []
        self._paces: Sequence[Sequence[float]] = ()

    def run(self, paces: Sequence[Sequence[float]]) -> list[float]:
        """Times at which each step's backward pass had ended everywhere.

        Args:
            paces: [node][step]: how long computing takes over its usual time.
        """
        self._paces = paces
        for node in range(self._nodes):
            self._forward(node, 0, 0)
        self._clock.run()
        return self._end_times

    def _forward(self, node: int, step: int, layer: int) -> None:
        if step == self._steps:
            return
        if not self._has_values(node, step, layer):
            self._waiting[node] = (step, layer)
            return
        seconds = self._layers[layer].forward_seconds
        if layer == 0:
            seconds += self._cost.step_seconds
        last = layer + 1 == len(self._layers)
        after = (
            (lambda: self._backward(node, step, layer))
            if last
            else (lambda: self._forward(node, step, layer + 1))
        )
        self._cores[node].compute(self._paces[node][step] * seconds, after)

    def _has_values(self, node: int, step: int, layer: int) -> bool:
        needed = [layer] if self._schedule == "prio" else range(len(self._layers))
        return all(self._values[node][n] >= step * len(self._chunks[n]) for n in needed)

    def _backward(self, node: int, step: int, layer: int) -> None:
        def end() -> None:
            if self._schedule != "end":
                self._push(node, step, layer)
            if layer:
                self._backward(node, step, layer - 1)
                return
            if self._schedule == "end":
                for each in reversed(range(len(self._layers))):
                    self._push(node, step, each)
            self._ends[step] += 1
            if self._ends[step] == self._nodes:
                self._end_times.append(self._clock.now)
            self._forward(node, step + 1, 0)

        seconds = self._paces[node][step] * self._layers[layer].backward_seconds
        self._cores[node].compute(seconds, end)

    def _push(self, node: int, step: int, layer: int) -> None:
        for chunk in self._chunks[layer]:
            self._move(node, chunk.owner, chunk, partial(self._contribute, step, chunk))

    def _contribute(self, step: int, chunk: _Chunk) -> None:
        self._contributions[step, chunk] += 1
        if self._contributions[step, chunk] < self._nodes:
            return

        def answer() -> None:
            for node in range(self._nodes):
                self._move(chunk.owner, node, chunk, partial(self._arrive, node, chunk.layer))

        seconds = self._cost.update_seconds_a_byte * chunk.size
        self._cores[chunk.owner].communicate(seconds, answer)

    def _arrive(self, node: int, layer: int) -> None:
        self._values[node][layer] += 1
        waiting = self._waiting[node]
        if waiting and self._has_values(node, *waiting):
            self._waiting[node] = None
            self._forward(node, *waiting)

    def _move(self, source: int, target: int, chunk: _Chunk, arrived: Act) -> None:
        if source == target:
            arrived()
            return
        rank = chunk.layer if self._schedule == "prio" else 0
        wire = chunk.size / self._network.bytes_a_second
        receive = self._cost.receive_seconds_a_byte * chunk.size

        def received() -> None:
            self._cores[target].communicate(receive, arrived)

        def leave() -> None:
            # The far link takes the message in while the near one gives it out.
            self._up[source].put(
                rank, wire, lambda: self._clock.after(self._network.latency_seconds, come), _nothing
            )

        def come() -> None:
            self._down[target].put(0, wire, _nothing, received)

        self._cores[source].communicate(self._cost.send_seconds_a_byte * chunk.size, leave)


def _nothing() -> None:
    """Mark the end of something that nobody waits for."""


def _chunks(layer: int, size: int, nodes: int, chunk_bytes: int) -> list[_Chunk]:
    """A layer in equal shares, one a node, each cut into chunks."""
    found: list[_Chunk] = []
    for owner in range(nodes):
        start, end = size * owner // nodes, size * (owner + 1) // nodes
        for at in range(start, end, chunk_bytes):
            found.append(_Chunk(layer, len(found), owner, min(chunk_bytes, end - at)))
    return found
