"""Which topics an agent reads, and keeps its state in, and whether they are still the same ones.

A consumer does not notice that a topic is deleted and created again: it goes on at its position,
which means nothing in the new topic. So the topics' ids are asked for on assignment, and then
every so many seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException

from millrace.schemas import BrokerError, TopicError
from millrace.streams.interval import Interval
from millrace.streams.kafka.diagnosis import Request, explain
from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.identity import (
    Identity,
    UndescribedError,
    embedded_identities,
    identities,
)
from millrace.streams.kafka.protocols import Clients
from millrace.streams.topology.names import full_name
from millrace.streams.topology.topics import is_source

_TAKEOVER_TIMEOUT_SECONDS = 30.0
_CHECK_TIMEOUT_SECONDS = 2.0


class TopicWatch:
    """Asks which topics these are.

    Parameters
    ----------
    agent
        The agent's name.
    clients
        Reach the broker.
    prefix
        Of the pipeline's topics.
    topics
        Without prefix.
    check
        When to ask again.

    Attributes
    ----------
    known
        Topic, without prefix, to which it was when partitions were assigned.
    """

    def __init__(
        self, agent: str, clients: Clients, prefix: str, topics: Iterable[str], check: Interval
    ) -> None:
        self.known: dict[str, Identity] = {}
        self._agent = agent
        self._clients = clients
        self._admin = clients.admin()
        self._identities = embedded_identities if clients.is_embedded else identities
        self._prefix = prefix
        self._topics = {full_name(prefix, topic): topic for topic in topics}
        self._check = check

    def identify(self) -> None:
        """Ask which topics these are from now on.

        Raises
        ------
        TopicError
            One is not there.
        BrokerError
            The broker does not say.
        """
        self.known = {}
        try:
            found = self._ask(_TAKEOVER_TIMEOUT_SECONDS)
        except KafkaException as error:
            topic = error.topic if isinstance(error, UndescribedError) else ""
            # What an agent may read it may describe, and it reads all of these.
            why = explain(self._clients, cause_of(error), Request(topic, operation="Read"))
            raise BrokerError(
                f"could not describe the topics of agent {self._agent}: {why}"
            ) from error
        for topic in self._topics.values():
            if topic not in found:
                raise self._gone(topic)
        self.known = found

    def check(self) -> None:
        """Check, where it is time to, that the topics are still the same ones.

        Raises
        ------
        TopicError
            One was deleted.
        confluent_kafka.KafkaException
            The broker does not say.
        """
        if not self.known or not self._check.is_due:
            return
        self._check.restart()
        found = self._ask(_CHECK_TIMEOUT_SECONDS)
        for topic, known in self.known.items():
            if topic not in found:
                raise self._gone(topic)
            if found[topic].is_another(known):
                raise TopicError(
                    f"topic {full_name(self._prefix, topic)} was deleted and created again while"
                    f" agent {self._agent} was using it"
                )

    def identity(self, topic: str) -> Identity:
        """Return which topic it is now.

        Raises
        ------
        TopicError
            It was deleted.
        confluent_kafka.KafkaException
            The broker does not say.
        """
        found = self._ask(_CHECK_TIMEOUT_SECONDS)
        if topic not in found:
            raise self._gone(topic)
        return found[topic]

    def _ask(self, timeout_seconds: float) -> dict[str, Identity]:
        found = self._identities(self._admin, self._topics, timeout_seconds)
        return {self._topics[name]: identity for name, identity in found.items()}

    def _gone(self, topic: str) -> TopicError:
        if is_source(topic):
            advice = (
                "Whoever owns it has to create it again: then the agent goes on by itself. Or"
                " deploy a definition without this source"
            )
        else:
            advice = "To create it again, start the worker again, or run `millrace topics --create`"
        return TopicError(
            f"there is no topic {full_name(self._prefix, topic)} any more, which agent"
            f" {self._agent} needs: it was deleted. {advice}"
        )
