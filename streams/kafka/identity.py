"""Which topics these are: one that was deleted and created again under its name is another one.

Kafka gives each topic an id (KIP-516). Offsets belong to the topic with that id, and keys to its
number of partitions. So both are kept with every position: with committed offsets as their
metadata, and in the manifest of saved state.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.protocols import Admin

_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # KIP-516's zero UUID: of a broker before 2.8


class Identity(NamedTuple):
    """Which topic it is.

    Attributes
    ----------
    id
        The topic's; empty where the broker gives none, as the embedded one.
    partitions
        How many it has.

    Examples
    --------
    >>> one = Identity("Pbvnk41XT1OJQdKbHP3Aew", 4)
    >>> one.is_another(one._replace(id="H0lpdWnBRxmUbamYM91qJw")), one.is_another(Identity("", 4))
    (True, False)
    """

    id: str
    partitions: int

    def is_another(self, other: Identity) -> bool:
        """Whether these are two topics, as far as is known."""
        return bool(self.id and other.id) and self.id != other.id


class Kept(NamedTuple):
    """What is kept with a committed offset.

    Attributes
    ----------
    topic
        The topic that the offset belongs to, where this is known.
    definition
        Reference of the definition in force there, where this is known.
    first_partitions
        How many partitions the topic had when the group began with it, where that counts.
    """

    topic: Identity | None = None
    definition: str = ""
    first_partitions: int | None = None


def metadata(topic: Identity, definition: str = "", first_partitions: int | None = None) -> str:
    """Return what is kept with a committed offset, as text.

    Examples
    --------
    >>> metadata(Identity("Pbvnk41XT1OJQdKbHP3Aew", 4), "1f9a")
    'Pbvnk41XT1OJQdKbHP3Aew 4 1f9a'
    >>> metadata(Identity("Pbvnk41XT1OJQdKbHP3Aew", 4), "1f9a", first_partitions=2)
    'Pbvnk41XT1OJQdKbHP3Aew 4/2 1f9a'
    """
    first = "" if first_partitions is None else f"/{first_partitions}"
    return f"{topic.id} {topic.partitions}{first} {definition}".rstrip()


def read_metadata(text: str | None) -> Kept:
    """Return what was kept with an offset; nothing where somebody else has committed it.

    Examples
    --------
    >>> read_metadata("Pbvnk41XT1OJQdKbHP3Aew 4 1f9a").topic
    Identity(id='Pbvnk41XT1OJQdKbHP3Aew', partitions=4)
    >>> read_metadata("Pbvnk41XT1OJQdKbHP3Aew 4/2 1f9a")[1:]
    ('1f9a', 2)
    >>> read_metadata("somebody's note")
    Kept(topic=None, definition='', first_partitions=None)
    """
    topic_id, _, rest = (text or "").partition(" ")
    counts, _, definition = rest.partition(" ")
    partitions, slash, first = counts.partition("/")
    if not partitions.isdecimal() or (slash and not first.isdecimal()):
        return Kept()
    known = Identity(topic_id, int(partitions))
    return Kept(known, definition, int(first) if slash else None)


class UndescribedError(KafkaException):
    """The broker does not describe the topic `topic`."""

    def __init__(self, topic: str, error: KafkaError) -> None:
        super().__init__(error)
        self.topic = topic


def identities(
    admin: Admin, topics: Collection[str], timeout_seconds: float
) -> dict[str, Identity]:
    """Return which topics these are; those that are not there are left out.

    Raises
    ------
    UndescribedError
        The broker does not answer in time, or refuses.
    """
    found = {}
    described = admin.describe_topics(TopicCollection([*topics]), request_timeout=timeout_seconds)
    for name, future in described.items():
        try:
            topic = future.result()
        except KafkaException as error:
            cause = cause_of(error)
            if cause.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise UndescribedError(name, cause) from error
            continue
        found[name] = Identity(str(topic.topic_id).replace(_NO_ID, ""), len(topic.partitions))
    return found


def embedded_identities(
    admin: Admin, topics: Collection[str], timeout_seconds: float
) -> dict[str, Identity]:
    """Return what there is on the embedded broker, which knows neither ids nor descriptions."""
    known = admin.list_topics(timeout=timeout_seconds).topics
    return {each: Identity("", len(known[each].partitions)) for each in topics if each in known}
