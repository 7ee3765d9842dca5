"""Errors of the client in Oriel's words."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors

from shared.errors import DomainError, FailedPreconditionError, UnavailableError

_FENCED = (errors.ProducerFencedError, errors.InvalidProducerEpochError)


def keep_messages_out_of_the_log() -> None:
    """Let the client log warnings only: below it writes the keys and values of messages."""
    logging.getLogger("kafka").setLevel(logging.WARNING)


@contextmanager
def in_our_words(servers: tuple[str, ...]) -> Iterator[None]:
    """Raise what goes wrong with the bus as what a person can mend."""
    try:
        yield
    except errors.KafkaError as error:
        raise translated(error, servers) from error


def translated(error: Exception, servers: tuple[str, ...]) -> DomainError:
    """Return an error of the client as Oriel's."""
    place, name = ",".join(servers), type(error).__name__
    if isinstance(error, _FENCED):
        return FailedPreconditionError(
            "another writer of the same name took over; stop one of the two",
            reason="BUS_WRITER_FENCED",
        )
    if isinstance(error, errors.AuthorizationError):
        return FailedPreconditionError(
            f"the bus at {place} does not allow this ({name}); grant it to Oriel's user",
            reason="BUS_FORBIDDEN",
            servers=place,
        )
    return UnavailableError(
        f"the bus at {place} does not do its work ({name}); see that its brokers run",
        reason="BUS_UNAVAILABLE",
        servers=place,
    )


def no_topic(topic: str) -> FailedPreconditionError:
    """Return the error for a topic that the cluster does not have."""
    return FailedPreconditionError(
        f"the bus has no topic {topic}; make the declared topics with `oriel bus apply`",
        reason="BUS_TOPIC_MISSING",
        topic=topic,
    )
