"""The topics of a workspace are read strictly, and what a cluster lacks of them is told."""

import pytest

from shared.bus import BusSettings
from shared.bus.cluster import Change, Found, changes
from shared.bus.topics import DECLARATION, Topic, parse_topics
from shared.errors import FailedPreconditionError, InvalidArgumentError

BUS = BusSettings(("127.0.0.1:9092",), "shop")
ONE = """topics:
  - name: events.v1
    holds: events
    partitions: 12
    cleanup: delete
    retention: 14d
    message_bytes: 1048576
"""


def test_the_shipped_topics_are_those_that_the_services_use():
    names = [topic.name for topic in parse_topics(DECLARATION.read_text(encoding="utf-8"))]
    assert names == [
        "events.v1",
        "events.v1.retry",
        "events.v1.dlq",
        "events.backfill.v1",
        "predictions.v1",
        "tombstones.v1",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("partitions: 12", "partition: 12", "'partition' is unknown; did you mean 'partitions'?"),
        ("partitions: 12", "partitions: 0", "a whole number between 1 and 10000"),
        ("partitions: 12", "partitions: yes", "a whole number"),
        ("retention: 14d", "retention: 14", "hours or days, such as 36h or 14d"),
        ("    retention: 14d\n", "", "belongs to cleanup: delete, and is needed there"),
        ("cleanup: delete", "cleanup: drop", "must be delete or compact"),
        ("name: events.v1", "name: Events", "lower case words joined by '.'"),
        ("holds: events", "holds: ''", "must say what the messages are"),
        ("topics:", "topic:", "did you mean 'topics'?"),
        ("    holds: events\n", "", "holds is required"),
        ("partitions: 12", "partitions: 12\n    partitions: 3", "a key is given twice"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(old, new, said):
    with pytest.raises(InvalidArgumentError, match="topics file") as caught:
        parse_topics(ONE.replace(old, new))
    assert said in caught.value.message
    assert caught.value.reason == "TOPICS_FILE_INVALID"


def test_a_topic_declared_twice_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"events\.v1 is declared twice"):
        parse_topics(ONE + ONE.removeprefix("topics:\n"))


def test_only_what_differs_changes():
    topic = Topic("events.v1", "events", 12, "delete", 2048, 3_600_000)
    same = {"cleanup.policy": "delete", "max.message.bytes": "2048", "retention.ms": "3600000"}
    assert changes([topic], {"shop.events.v1": Found(12, same)}, BUS) == []
    assert changes([topic], {}, BUS) == [Change("shop.events.v1", "create", "-", "12 partitions")]
    smaller = {"shop.events.v1": Found(6, {**same, "retention.ms": "1"})}
    assert changes([topic], smaller, BUS) == [
        Change("shop.events.v1", "partitions", "6", "12"),
        Change("shop.events.v1", "retention.ms", "1", "3600000"),
    ]


def test_partitions_are_never_taken_away():
    topic = Topic("events.v1", "events", 3, "compact", 2048)
    with pytest.raises(FailedPreconditionError, match="12 partitions and 3 are declared"):
        changes([topic], {"shop.events.v1": Found(12, {})}, BUS)


@pytest.mark.parametrize(
    ("servers", "prefix", "reason"),
    [
        ("", "oriel", "BAD_BUS_SERVERS"),
        ("kafka", "oriel", "BAD_BUS_SERVERS"),
        ("kafka:9092,", "oriel", "BAD_BUS_SERVERS"),
        ("kafka:9092", "My Shop", "BAD_BUS_PREFIX"),
        ("kafka:9092", "", "BAD_BUS_PREFIX"),
    ],
)
def test_wrong_settings_are_refused_by_name(servers, prefix, reason):
    with pytest.raises(InvalidArgumentError) as caught:
        BusSettings.parse(servers, prefix)
    assert caught.value.reason == reason


def test_the_page_says_of_every_topic_and_key_what_it_is():
    page = (DECLARATION.parents[2] / "docs" / "reference" / "topics.md").read_text(encoding="utf-8")
    for topic in parse_topics(DECLARATION.read_text(encoding="utf-8")):
        assert f"| `{topic.name}` | {topic.holds} |" in page
    for key in ("name", "holds", "partitions", "replicas", "cleanup", "retention", "message_bytes"):
        assert f"| `{key}` |" in page
