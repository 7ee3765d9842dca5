"""Every environment variable that Oriel reads; docs/reference/environment.md is made of this."""

import ipaddress
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.config.environment import Variable
from shared.config.home import Home

_DATABASE = re.compile(r"[A-Za-z_]\w{0,62}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_PORTS = {"clickhouse": 9000, "clickhouses": 9440}
_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]{0,48}")
_LEVELS = ("debug", "info", "warning", "error")
_MOST_GRACE_SECONDS = 600.0


@dataclass(frozen=True)
class WarehouseAddress:
    """Where a ClickHouse server is; the fields are those of `shared.warehouse.connect`."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    is_secure: bool


def home(text: str) -> Home:
    """Return the folder of a workspace."""
    return Home(Path(text).expanduser().absolute())


def warehouse(text: str) -> WarehouseAddress:
    """Return where a server is, from its URL.

    >>> warehouse("clickhouse://ada:p%40ss@db/shop")
    WarehouseAddress(host='db', port=9000, user='ada', database='shop', is_secure=False)
    """
    # What is said of a wrong text never repeats it: it holds a password.
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("it is no URL") from None
    if url.scheme not in _PORTS:
        raise ValueError("it must start with clickhouse://, or clickhouses:// for TLS")
    if not url.hostname:
        raise ValueError("it names no host")
    database = unquote(url.path.removeprefix("/")) or "oriel"
    if not _DATABASE.fullmatch(database):
        raise ValueError("the database after the last / must be letters, digits and underscores")
    if url.query or url.fragment:
        raise ValueError("nothing may follow the database; a ? or # of the password is %3F or %23")
    return WarehouseAddress(
        host=url.hostname,
        port=port or _PORTS[url.scheme],
        user=unquote(url.username or "default"),
        password=unquote(url.password or ""),
        database=database,
        is_secure=url.scheme == "clickhouses",
    )


def address(text: str) -> str:
    """Return a host and a port.

    >>> address("feature:50053"), address("[::1]:50053")
    ('feature:50053', '[::1]:50053')
    """
    host, _, port = text.rpartition(":")
    if not _is_host(host) or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port with a port between 1 and 65535")
    return text


def bus_servers(text: str) -> tuple[str, ...]:
    """Return some brokers of a Kafka cluster.

    >>> bus_servers("kafka-1:9092, kafka-2:9092")
    ('kafka-1:9092', 'kafka-2:9092')
    """
    return tuple(address(part.strip()) for part in text.split(","))


def bus_prefix(text: str) -> str:
    """Return the start of the names of topics and groups."""
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"{text!r} must be lower case letters, digits, '-' and '_'")
    return text


def level(text: str) -> int:
    """Return a level of `logging`."""
    if text.lower() not in _LEVELS:
        raise ValueError(f"{text!r} is not one of {', '.join(_LEVELS)}")
    return int(logging.getLevelNamesMapping()[text.upper()])


def grace(text: str) -> float:
    """Return a number of seconds to end in."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_GRACE_SECONDS:
        raise ValueError(f"{text!r} is not a number of seconds from 0 to {_MOST_GRACE_SECONDS:g}")
    return seconds


def switch(text: str) -> bool:
    """Return whether something is on."""
    if text not in ("on", "off"):
        raise ValueError(f"{text!r} is neither on nor off")
    return text == "on"


HOME = Variable(
    "ORIEL_HOME",
    home,
    "the folder of the workspace, which all services share and `oriel init` makes",
    "/srv/oriel",
)
WAREHOUSE = Variable(
    "ORIEL_WAREHOUSE",
    warehouse,
    "the ClickHouse server and database that hold the events; "
    "marks inside user and password are written as in URLs (`@` is `%40`)",
    "clickhouse://oriel:password@127.0.0.1:9000/oriel",
)
INGESTION_ADDRESS = Variable(
    "ORIEL_INGESTION_ADDRESS",
    address,
    "where the ingestion service answers",
    "127.0.0.1:50052",
)
FEATURE_ADDRESS = Variable(
    "ORIEL_FEATURE_ADDRESS", address, "where the feature service answers", "127.0.0.1:50053"
)
TRAINING_ADDRESS = Variable(
    "ORIEL_TRAINING_ADDRESS", address, "where the training service answers", "127.0.0.1:50054"
)
INFERENCE_ADDRESS = Variable(
    "ORIEL_INFERENCE_ADDRESS", address, "where the inference service answers", "127.0.0.1:50055"
)
CONSOLE_ADDRESS = Variable(
    "ORIEL_CONSOLE_ADDRESS",
    address,
    "where events are taken over HTTP; whoever sends from other machines needs a write key, and "
    "TLS before it",
    "0.0.0.0:8080",
    default="127.0.0.1:8080",
)
BUS_SERVERS = Variable(
    "ORIEL_BUS_SERVERS",
    bus_servers,
    "the Kafka brokers whose topics hold events, several with commas; without them none are read",
    "127.0.0.1:9092",
)
BUS_PREFIX = Variable(
    "ORIEL_BUS_PREFIX",
    bus_prefix,
    "the start of the names of the workspace's topics and groups",
    "shop",
    default="oriel",
)
LISTEN = Variable(
    "ORIEL_LISTEN",
    address,
    "what a service listens on where that is not its own address: needed to serve other machines "
    "and containers, as calls are neither encrypted nor authenticated",
    "0.0.0.0:50053",
)
METRICS_LISTEN = Variable(
    "ORIEL_METRICS_LISTEN",
    address,
    "what a service shows its Prometheus metrics on, at `/metrics`; without it there is none",
    "127.0.0.1:9464",
)
LOG_LEVEL = Variable(
    "ORIEL_LOG_LEVEL",
    level,
    f"the least level that is logged, to standard error: {', '.join(_LEVELS)}",
    "warning",
    default="info",
)
GRACE_SECONDS = Variable(
    "ORIEL_GRACE_SECONDS",
    grace,
    "how long calls and work under way may go on after SIGTERM",
    "20",
    default="5",
)
KERNELS = Variable(
    "ORIEL_KERNELS",
    switch,
    "whether training uses its compiled kernels where they are built",
    "off",
    default="on",
)

VARIABLES: tuple[Variable[Any], ...] = (
    HOME,
    WAREHOUSE,
    INGESTION_ADDRESS,
    FEATURE_ADDRESS,
    TRAINING_ADDRESS,
    INFERENCE_ADDRESS,
    CONSOLE_ADDRESS,
    BUS_SERVERS,
    BUS_PREFIX,
    LISTEN,
    METRICS_LISTEN,
    LOG_LEVEL,
    GRACE_SECONDS,
    KERNELS,
)
"""In the order of the reference; a variable that is not here is refused."""

SERVICE_ADDRESSES: Mapping[str, Variable[str]] = MappingProxyType(
    {
        "oriel.ingestion.v1.IngestionService": INGESTION_ADDRESS,
        "oriel.feature.v1.FeatureService": FEATURE_ADDRESS,
        "oriel.training.v1.TrainingService": TRAINING_ADDRESS,
        "oriel.inference.v1.InferenceService": INFERENCE_ADDRESS,
    }
)
"""Where each service of the protos answers."""


def _is_host(text: str) -> bool:
    if text.startswith("[") and text.endswith("]"):
        try:
            return ipaddress.ip_address(text[1:-1]).version == 6
        except ValueError:
            return False
    return _HOST.fullmatch(text) is not None
