"""Reads from Kafka."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from shared.bus.failures import in_our_words, keep_messages_out_of_the_log, no_topic
from shared.bus.port import Listener, Partition, Record
from shared.bus.settings import READER_LIMITS, BusSettings, ReaderLimits


class KafkaReader:
    """A `Reader` over Kafka; make it with `join` or `read`."""

    def __init__(self, consumer: Any, settings: BusSettings) -> None:
        self._consumer, self._servers = consumer, settings.servers
        self._has_group = consumer.config["group_id"] is not None

    def poll(self, seconds: float, most: int) -> Mapping[Partition, Sequence[Record]]:
        """See `Reader.poll`."""
        with in_our_words(self._servers):
            found = self._consumer.poll(timeout_ms=round(seconds * 1000), max_records=most)
        return {Partition(*partition): records for partition, records in found.items()}

    def seek(self, partition: Partition, offset: int) -> None:
        """See `Reader.seek`."""
        self._consumer.seek(TopicPartition(*partition), offset)

    def hold(self, partitions: Collection[Partition]) -> None:
        """See `Reader.hold`."""
        held = {TopicPartition(*partition) for partition in partitions}
        wanted, paused = held & self._consumer.assignment(), self._consumer.paused()
        self._consumer.resume(*(paused - wanted))
        self._consumer.pause(*(wanted - paused))

    def commit(self, next_offsets: Mapping[Partition, int]) -> None:
        """See `Reader.commit`."""
        offsets = {TopicPartition(*at): OffsetAndMetadata(next_offsets[at]) for at in next_offsets}
        if self._has_group and offsets:
            with suppress(KafkaError):  # told again with the next ones
                self._consumer.commit_async(offsets)

    def close(self) -> None:
        """See `Reader.close`."""
        with suppress(KafkaError):  # without a broker there is no group to leave
            self._consumer.close(autocommit=False, timeout_ms=5_000)


def join(
    settings: BusSettings,
    group: str,
    topics: Sequence[str],
    listener: Listener,
    limits: ReaderLimits = READER_LIMITS,
) -> KafkaReader:
    """Read topics together with the other members of a group.

    Where a group was never before it begins at the start of each partition; `Reader.seek` decides
    otherwise.

    Args:
        settings: Where the bus is.
        group: Name of the group, without the prefix.
        topics: Names of topics, without the prefix.
        listener: Hears which partitions this member has.
        limits: How much it holds, and how long it may be silent.

    Raises:
        UnavailableError: No broker answers.
        FailedPreconditionError: A topic is missing.
    """
    wanted = [settings.name(topic) for topic in topics]
    with in_our_words(settings.servers):
        consumer = KafkaConsumer(
            group_id=settings.name(group),
            session_timeout_ms=round(limits.session_seconds * 1000),
            heartbeat_interval_ms=round(limits.session_seconds * 1000 / 4),
            max_poll_interval_ms=round(limits.poll_seconds * 1000),
            **_options(settings, limits),
        )
        _require(consumer, wanted)
        consumer.subscribe(wanted, listener=_Heard(listener))
    return KafkaReader(consumer, settings)


def read(
    settings: BusSettings,
    starts: Mapping[Partition, int],
    limits: ReaderLimits = READER_LIMITS,
) -> KafkaReader:
    """Read some partitions from given offsets, alone and in no group.

    Raises:
        UnavailableError: No broker answers.
        FailedPreconditionError: A topic is missing.
    """
    with in_our_words(settings.servers):
        consumer = KafkaConsumer(**_options(settings, limits))
        _require(consumer, {partition.topic for partition in starts})
        consumer.assign([TopicPartition(*partition) for partition in starts])
        for partition, offset in starts.items():
            consumer.seek(TopicPartition(*partition), offset)
    return KafkaReader(consumer, settings)


def _options(settings: BusSettings, limits: ReaderLimits) -> dict[str, Any]:
    keep_messages_out_of_the_log()
    return {
        "bootstrap_servers": list(settings.servers),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "fetch_max_bytes": limits.fetch_bytes,
        "max_partition_fetch_bytes": limits.partition_bytes,
        # A broker that comes back is found within a second, not within half a minute.
        "reconnect_backoff_max_ms": 1_000,
        "metrics_enabled": False,
    }


def _require(consumer: Any, topics: Collection[str]) -> None:
    for topic in topics:
        if not consumer.partitions_for_topic(topic):
            consumer.close(autocommit=False)
            raise no_topic(topic)


class _Heard(ConsumerRebalanceListener):  # type: ignore[misc]  # the client has no types
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._listener.assigned(_ours(assigned))

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._listener.revoked(_ours(revoked))

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        self._listener.lost(_ours(lost))


def _ours(partitions: Collection[TopicPartition]) -> frozenset[Partition]:
    return frozenset(Partition(*partition) for partition in partitions)
