"""Writes to Kafka."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from shared.bus.failures import (
    in_our_words,
    keep_messages_out_of_the_log,
    no_topic,
    translated,
)
from shared.bus.port import Message
from shared.bus.settings import BusSettings
from shared.errors import FailedPreconditionError, InvalidArgumentError

_REQUEST_BYTES = 2 << 20
_BATCH_BYTES = 128 << 10
_LINGER_MILLISECONDS = 5
_DELIVERY_MILLISECONDS = 60_000
_WAIT_MILLISECONDS = 20_000


class KafkaWriter:
    """A `Writer` over Kafka, idempotent; with a name also transactional.

    Args:
        settings: Where the bus is.
        name: Name of the writer, without the prefix; a second one of this name fences the first.

    Raises:
        UnavailableError: No broker answers.
    """

    def __init__(self, settings: BusSettings, name: str = "") -> None:
        self._servers = settings.servers
        self._name = name
        self._failure: Exception | None = None
        keep_messages_out_of_the_log()
        with in_our_words(self._servers):
            self._producer = KafkaProducer(
                bootstrap_servers=list(settings.servers),
                transactional_id=settings.name(name) if name else None,
                enable_idempotence=True,
                acks="all",
                linger_ms=_LINGER_MILLISECONDS,
                batch_size=_BATCH_BYTES,
                max_request_size=_REQUEST_BYTES,
                delivery_timeout_ms=_DELIVERY_MILLISECONDS,
                max_block_ms=_WAIT_MILLISECONDS,
                allow_auto_create_topics=False,
                reconnect_backoff_max_ms=1_000,
                metrics_enabled=False,
            )
            if name:
                self._producer.init_transactions()

    def send(self, message: Message) -> None:
        """See `Writer.send`."""
        self._raise_failure()
        if message.value is None and message.key is None:
            raise InvalidArgumentError(
                "a message without a value is a tombstone and needs a key; give one of the two",
                reason="BUS_TOMBSTONE_WITHOUT_KEY",
            )
        try:
            self._producer.send(
                message.topic,
                value=message.value,
                key=message.key,
                headers=list(message.headers),
                partition=message.partition,
                timestamp_ms=message.timestamp,
            ).add_errback(self._keep)
        except MessageSizeTooLargeError as error:
            raise InvalidArgumentError(
                f"a message for {message.topic} is larger than {_REQUEST_BYTES:,} bytes; "
                "send less at once",
                reason="BUS_MESSAGE_TOO_LARGE",
                topic=message.topic,
                limit=_REQUEST_BYTES,
            ) from error
        except KafkaTimeoutError as error:
            if not self._producer.partitions_for(message.topic):
                raise no_topic(message.topic) from error
            raise translated(error, self._servers) from error
        except KafkaError as error:
            raise translated(error, self._servers) from error

    def flush(self) -> None:
        """See `Writer.flush`."""
        with in_our_words(self._servers):
            self._producer.flush(timeout=_DELIVERY_MILLISECONDS / 1000)
        self._raise_failure()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Writer.transaction`."""
        if not self._name:
            raise FailedPreconditionError(
                "a writer without a name has no transactions; give it one",
                reason="BUS_WRITER_NAMELESS",
            )
        with in_our_words(self._servers):
            self._producer.begin_transaction()
            try:
                yield
                self.flush()
            except BaseException:
                with suppress(KafkaError):  # the broker aborts what nobody ends
                    self._producer.abort_transaction()
                # What was queued is told as failed too.
                self._failure = None
                raise
            self._producer.commit_transaction()

    def close(self) -> None:
        """See `Writer.close`."""
        self._producer.close(timeout=_DELIVERY_MILLISECONDS / 1000)

    def _keep(self, error: Exception) -> None:
        self._failure = self._failure or error

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise translated(failure, self._servers) from failure
