"""One broker for all tests of a worker; each test has a prefix of its own."""

from collections.abc import Iterator
from itertools import count

import pytest

from shared.bus import BusSettings
from tests.support.kafka_server import KafkaServer, KafkaUnobtainableError

_PREFIXES = count()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path_factory.mktemp("kafka") / "server")
    try:
        server.start()
    except KafkaUnobtainableError as error:
        pytest.skip(f"no Kafka here: {error}")
    yield server
    server.kill()


@pytest.fixture
def bus(kafka: KafkaServer) -> BusSettings:
    """Return a workspace of its own on the broker."""
    return BusSettings((kafka.address,), f"test-{next(_PREFIXES)}")
