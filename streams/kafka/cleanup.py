"""Whether the broker keeps topics as they are meant to be kept, and as clients can read them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined] # not re-exported

from millrace.streams.kafka.protocols import Clients
from millrace.streams.topology.topics import INTERNAL_COMPRESSION, TopicSettings

_POLICY = "cleanup.policy"
_LIMITS = ("retention.ms", "retention.bytes")
_NO_LIMIT = "-1"
_COMPRESSION = "compression.type"
_AS_PRODUCED = "producer"
_TIMEOUT_SECONDS = 8.0


def cleanup_problems(clients: Clients, topics: Collection[TopicSettings]) -> list[str]:
    """Return what is wrong with how existing topics are cleaned up or compressed, one by one.

    Where the broker does not say (the embedded one, or one that does not let this user ask),
    nothing is known to be wrong.
    """
    if clients.is_embedded or not topics:
        return []
    found = dict(_configs(clients, topics))
    return [
        problem
        for topic in topics
        if topic.name in found and (problem := _problem(topic, found[topic.name]))
    ]


def _configs(
    clients: Clients, topics: Collection[TopicSettings]
) -> Iterator[tuple[str, dict[str, str]]]:
    asked = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    admin = clients.admin()
    try:
        answers = admin.describe_configs(asked, request_timeout=_TIMEOUT_SECONDS)
        for resource, answer in answers.items():
            config = answer.result()
            asked_for = (_POLICY, *_LIMITS, _COMPRESSION)
            known = {n: str(config[n].value or "") for n in asked_for if n in config}
            yield str(resource.name), known
    except KafkaException:
        return


def _problem(topic: TopicSettings, config: Mapping[str, str]) -> str:
    policy = frozenset(config[_POLICY].split(","))
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
    limits = [name for name in _LIMITS if topic.config.get(name) == _NO_LIMIT != config[name]]
    if limits:
        limited = ", ".join(f"{name}={config[name]}" for name in limits)
        return (
            f"topic {topic.name} has {limited}: its oldest records will be deleted, which are to be"
            f" kept for ever. Set {' and '.join(limits)} to {_NO_LIMIT}"
        )
    if config.get(_COMPRESSION) == _AS_PRODUCED and _COMPRESSION in topic.config:
        return (
            f"topic {topic.name} has {_COMPRESSION}={_AS_PRODUCED}: some of its records are"
            f" {INTERNAL_COMPRESSION}, which not every client reads. Set"
            f" {_COMPRESSION}={topic.config[_COMPRESSION]}"
        )
    return ""
