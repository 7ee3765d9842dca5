"""Commands on the bus: apply, tail, lag."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from app import console
from shared.bus import BusSettings, Partition, Reader, Record, header_texts
from shared.bus.topics import DECLARATION, Topic, parse_topics
from shared.errors import NotFoundError

_GROUP = "ingestion"
_WAIT_SECONDS = 0.5
_RECORDS_A_POLL = 500


@click.group()
@click.option(
    "--servers",
    envvar="ORIEL_BUS_SERVERS",
    default="127.0.0.1:9092",
    show_default=True,
    help="Brokers of the Kafka cluster, as host:port with commas; also ORIEL_BUS_SERVERS.",
)
@click.option(
    "--prefix",
    envvar="ORIEL_BUS_PREFIX",
    default="oriel",
    show_default=True,
    help="Start of the names of the workspace's topics and groups; also ORIEL_BUS_PREFIX.",
)
@click.pass_context
def bus(context: click.Context, servers: str, prefix: str) -> None:
    """Make the topics of the workspace, look into them, and see how far they are read.

    \b
    Examples:
      oriel bus apply --dry-run
      oriel bus tail events.v1.dlq --from-start
      oriel bus --servers kafka:9092 lag
    """
    context.obj = BusSettings.parse(servers, prefix)


@bus.command()
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    default=DECLARATION,
    help="Declaration of the topics.  [default: infra/kafka/topics.yaml]",
)
@click.option("--dry-run", is_flag=True, help="Show what would change and change nothing.")
@click.pass_obj
def apply(settings: BusSettings, file: Path, dry_run: bool) -> None:
    """Make the cluster have the declared topics; what it has already stays.

    \b
    Examples:
      oriel bus apply --dry-run
      oriel bus --servers kafka:9092 --prefix shop apply
    """
    from shared.bus.cluster import Cluster, changes  # the client takes a while to load

    topics = parse_topics(file.read_text(encoding="utf-8"))
    with Cluster(settings) as cluster:
        found = (
            changes(topics, cluster.found(topics), settings) if dry_run else cluster.apply(topics)
        )
    if not found:
        console.say(f"Nothing to change: all {len(topics)} topics are as declared.")
        return
    rows = [(each.topic, each.what, each.now, each.wanted) for each in found]
    console.table(
        "Would change" if dry_run else "Changed", ["topic", "what", "now", "wanted"], rows
    )


@bus.command()
@click.argument("topic")
@click.option("--from-start", is_flag=True, help="Begin with the oldest message, not the next.")
@click.option("--limit", default=0, help="End after so many messages; 0 goes on until Ctrl-C.")
@click.pass_obj
def tail(settings: BusSettings, topic: str, from_start: bool, limit: int) -> None:
    """Print the messages of a TOPIC as they come, one JSON object a line.

    The topic is named without the prefix. What a transaction aborted is not shown.

    \b
    Examples:
      oriel bus tail events.v1
      oriel bus tail events.v1.dlq --from-start --limit 5
    """
    from shared.bus.cluster import Cluster
    from shared.bus.reader import read

    _declared(topic)
    with Cluster(settings) as cluster:
        extents = cluster.extents(_GROUP, [topic])
    starts = {each.partition: each.begin if from_start else each.end for each in extents}
    reader = read(settings, starts)
    try:
        for shown, (partition, record) in enumerate(_records(reader), start=1):
            console.say(json.dumps(_shown(partition, record), ensure_ascii=False))
            if shown == limit:
                return
    finally:
        reader.close()


@bus.command()
@click.option("--group", default=_GROUP, show_default=True, help="Group, without the prefix.")
@click.pass_obj
def lag(settings: BusSettings, group: str) -> None:
    """Show how far a group has read the topics that hold events.

    \b
    Examples:
      oriel bus lag
    """
    from shared.bus.cluster import Cluster

    names = [each.name for each in _topics() if each.name.startswith("events.")]
    with Cluster(settings) as cluster:
        extents = cluster.extents(group, [name for name in names if not name.endswith(".dlq")])
    rows = [
        (each.partition.topic, each.partition.number, each.next_offset, each.end, each.lag)
        for each in extents
    ]
    console.table("", ["topic", "partition", "read to", "end", "lag"], rows)
    console.say(f"lag in all: {sum(each.lag for each in extents):,}")


def _records(reader: Reader) -> Iterator[tuple[Partition, Record]]:
    while True:
        for partition, some in reader.poll(_WAIT_SECONDS, _RECORDS_A_POLL).items():
            for record in some:
                yield partition, record


def _shown(partition: Partition, record: Record) -> dict[str, object]:
    value = None if record.value is None else record.value.decode("utf-8", "backslashreplace")
    key = None if record.key is None else record.key.decode("utf-8", "backslashreplace")
    return {
        "topic": partition.topic,
        "partition": partition.number,
        "offset": record.offset,
        "time": datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(),
        "key": key,
        "headers": dict(header_texts(record.headers)),
        "value": value,
    }


def _declared(topic: str) -> None:
    names = [each.name for each in _topics()]
    if topic not in names:
        raise NotFoundError(
            f"no topic {topic!r} is declared; there are {', '.join(names)}",
            reason="BUS_TOPIC_UNKNOWN",
            topic=topic,
        )


def _topics() -> list[Topic]:
    return parse_topics(DECLARATION.read_text(encoding="utf-8"))
