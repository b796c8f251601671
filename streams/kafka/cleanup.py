"""Whether the broker keeps topics as they are meant to be kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined] # not re-exported

from millrace.streams.kafka.protocols import Clients
from millrace.streams.topology.topics import TopicSettings

_POLICY = "cleanup.policy"
_TIMEOUT_SECONDS = 8.0


def cleanup_problems(clients: Clients, topics: Collection[TopicSettings]) -> list[str]:
    """Return what is wrong with how existing topics are cleaned up, topic by topic.

    Where the broker does not say (the embedded one, or one that does not let this user ask),
    nothing is known to be wrong.
    """
    if clients.is_embedded or not topics:
        return []
    policies = dict(_policies(clients, topics))
    return [
        problem
        for topic in topics
        if topic.name in policies and (problem := _problem(topic, policies[topic.name]))
    ]


def _policies(
    clients: Clients, topics: Collection[TopicSettings]
) -> Iterator[tuple[str, frozenset[str]]]:
    asked = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    admin = clients.admin()
    try:
        answers = admin.describe_configs(asked, request_timeout=_TIMEOUT_SECONDS)
        for resource, answer in answers.items():
            policy = answer.result()[_POLICY].value or ""
            yield str(resource.name), frozenset(policy.split(","))
    except KafkaException:
        return


def _problem(topic: TopicSettings, policy: frozenset[str]) -> str:
    has = f"topic {topic.name} has {_POLICY}={','.join(sorted(policy))}"
    if topic.config[_POLICY] == "compact" and policy != {"compact"}:
        return (
            f"{has}: what was saved longer ago than its retention is lost, and state with it. Set"
            f" {_POLICY}=compact"
        )
    if topic.config[_POLICY] == "delete" and "compact" in policy:
        return (
            f"{has}: Kafka keeps only the newest record of each key, so records may be gone before"
            f" they are read, or when state is rebuilt from them. Set {_POLICY}=delete"
        )
    return ""
