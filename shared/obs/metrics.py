"""The figures that Oriel's processes give away; `infra/telemetry/metrics.yaml` lists them.

They live at module level because a process has one set of them, as it has one set of loggers.
"""

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

REGISTRY = CollectorRegistry()
"""Everything that the metrics port shows."""

RPC_CALLS = Counter(
    "oriel_rpc_calls_total",
    "Calls answered.",
    ["service", "method", "code"],
    registry=REGISTRY,
)
RPC_SECONDS = Histogram(
    "oriel_rpc_duration_seconds",
    "Time from the arrival of a call to its last answer.",
    ["service", "method"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)
RPC_OPEN = Gauge(
    "oriel_rpc_open_calls",
    "Calls being answered now.",
    ["service"],
    registry=REGISTRY,
)
JOB_SECONDS = Histogram(
    "oriel_jobs_duration_seconds",
    "Time that long work ran for, by how it ended.",
    ["collection", "state"],
    registry=REGISTRY,
    buckets=(0.1, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400),
)
JOBS_RUNNING = Gauge(
    "oriel_jobs_running_jobs",
    "Long work running now.",
    ["collection"],
    registry=REGISTRY,
)
CONSOLE_REQUESTS = Counter(
    "oriel_console_requests_total",
    "HTTP requests answered.",
    ["route", "code"],
    registry=REGISTRY,
)
CONSOLE_SECONDS = Histogram(
    "oriel_console_request_duration_seconds",
    "Time from a whole HTTP request to its answer.",
    ["route"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
CONSOLE_CALL_MESSAGES = Histogram(
    "oriel_console_call_messages",
    "Messages that one call of ingestion took from all HTTP requests that waited.",
    registry=REGISTRY,
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000),
)
STREAM_CONSUMED = Counter(
    "oriel_stream_consumed_messages_total",
    "Messages of the bus that the scorer of a prediction has accounted for.",
    ["prediction", "partition"],
    registry=REGISTRY,
)
STREAM_MESSAGES = Counter(
    "oriel_stream_messages_total",
    "The same messages by what became of them; they add up to the messages consumed.",
    ["prediction", "partition", "outcome"],
    registry=REGISTRY,
)


class MetricsPort:
    """An HTTP port on loopback that shows the metrics in Prometheus's text form."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        server, thread = start_http_server(port, addr=host, registry=REGISTRY)
        self._server: WSGIServer = server
        self._thread: threading.Thread = thread

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
