"""What a Kafka cluster has, what it lacks of the declared topics, and how far groups have read."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import RetriableError

from shared.bus.failures import in_our_words, keep_messages_out_of_the_log
from shared.bus.port import Partition
from shared.bus.settings import BusSettings
from shared.bus.topics import Topic
from shared.errors import FailedPreconditionError

_COORDINATOR_SECONDS = 15.0
_RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class Found:
    """A topic as the cluster has it."""

    partitions: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """One thing that differs from the declaration."""

    topic: str
    """Full name."""
    what: str
    """create, partitions, or the name of a setting."""
    now: str
    wanted: str


@dataclass(frozen=True)
class Extent:
    """What a partition holds, and how far a group has read it."""

    partition: Partition
    begin: int
    end: int
    """Offset after the last message that readers may see."""
    next_offset: int | None
    """Where the group reads on; None where it has never told."""

    @property
    def lag(self) -> int:
        """How many offsets are still to be read."""
        start = self.begin if self.next_offset is None else max(self.next_offset, self.begin)
        return max(self.end - start, 0)


def changes(
    topics: Sequence[Topic], found: Mapping[str, Found], settings: BusSettings
) -> list[Change]:
    """Return what is to be done so that a cluster has the declared topics.

    Raises:
        FailedPreconditionError: A topic has more partitions than declared; Kafka takes none away.
    """
    wanted: list[Change] = []
    for topic in topics:
        name = settings.name(topic.name)
        has = found.get(name)
        if has is None:
            wanted.append(Change(name, "create", "-", f"{topic.partitions} partitions"))
        else:
            wanted += _differences(topic, name, has)
    return wanted


def _differences(topic: Topic, name: str, has: Found) -> Iterator[Change]:
    if has.partitions > topic.partitions:
        raise FailedPreconditionError(
            f"{name} has {has.partitions} partitions and {topic.partitions} are declared; Kafka "
            "takes none away: declare as many as there are, or delete the topic",
            reason="BUS_FEWER_PARTITIONS",
            topic=name,
            partitions=has.partitions,
            declared=topic.partitions,
        )
    if has.partitions < topic.partitions:
        yield Change(name, "partitions", str(has.partitions), str(topic.partitions))
    for key, value in topic.settings().items():
        now = has.settings.get(key, "")
        if now != value:
            yield Change(name, key, now, value)


class Cluster:
    """The administration of a cluster.

    Raises:
        UnavailableError: No broker answers.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        keep_messages_out_of_the_log()
        with in_our_words(settings.servers):
            self._admin = KafkaAdminClient(bootstrap_servers=list(settings.servers))

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._admin.close()

    def found(self, topics: Sequence[Topic]) -> dict[str, Found]:
        """Return those of some topics that the cluster has, by full name."""
        wanted = [self._settings.name(topic.name) for topic in topics]
        with in_our_words(self._settings.servers):
            there = set(self._admin.list_topics()) & set(wanted)
            if not there:
                return {}
            described = self._admin.describe_topics(sorted(there))
            resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(there)]
            settings = self._admin.describe_configs(resources, config_filter="all")["topic"]
        return {
            each["name"]: Found(
                len(each["partitions"]),
                {key: entry["value"] for key, entry in settings[each["name"]].items()},
            )
            for each in described
        }

    def apply(self, topics: Sequence[Topic]) -> list[Change]:
        """Make the cluster have the declared topics; returns what was changed."""
        wanted = changes(topics, self.found(topics), self._settings)
        with in_our_words(self._settings.servers):
            self._create(topics, {each.topic for each in wanted if each.what == "create"})
            grown = {each.topic: int(each.wanted) for each in wanted if each.what == "partitions"}
            if grown:
                self._admin.create_partitions(grown)
            settings: dict[str, dict[str, str]] = {}
            for each in wanted:
                if each.what not in ("create", "partitions"):
                    settings.setdefault(each.topic, {})[each.what] = each.wanted
            if settings:
                self._admin.alter_configs(
                    [
                        ConfigResource(ConfigResourceType.TOPIC, name, values)
                        for name, values in settings.items()
                    ]
                )
        return wanted

    def extents(self, group: str, topics: Collection[str]) -> list[Extent]:
        """Return the partitions of topics and how far a group has read; names without prefix."""
        with in_our_words(self._settings.servers):
            offsets = self._offsets(self._settings.name(group))
            return self._extents(offsets, [self._settings.name(topic) for topic in topics])

    def _offsets(self, group: str) -> Mapping[Any, Any]:
        deadline = time.monotonic() + _COORDINATOR_SECONDS
        while True:
            try:
                offsets: Mapping[Any, Any] = self._admin.list_group_offsets(group)[group]
                return offsets
            except RetriableError:  # the first who asks a new cluster makes it choose coordinators
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)

    def _extents(self, offsets: Mapping[Any, Any], topics: Sequence[str]) -> list[Extent]:
        consumer = KafkaConsumer(
            bootstrap_servers=list(self._settings.servers),
            isolation_level="read_committed",
            allow_auto_create_topics=False,
        )
        try:
            places = [
                TopicPartition(topic, number)
                for topic in topics
                for number in sorted(consumer.partitions_for_topic(topic) or ())
            ]
            begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
        finally:
            consumer.close(autocommit=False)
        return [
            Extent(
                Partition(*place),
                begins[place],
                ends[place],
                offsets[place].offset if place in offsets else None,
            )
            for place in places
        ]

    def _create(self, topics: Sequence[Topic], names: Collection[str]) -> None:
        new = {}
        for topic in topics:
            name = self._settings.name(topic.name)
            if name in names:
                new[name] = {
                    "num_partitions": topic.partitions,
                    "replication_factor": topic.replicas or -1,
                    "configs": topic.settings(),
                }
        if new:
            self._admin.create_topics(new, wait_for_metadata=True)
