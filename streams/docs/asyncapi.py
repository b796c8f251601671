"""A pipeline's topics as an AsyncAPI document.

It has the topics that others write or read: those of the pipeline, and those of others that it
reads. Internal topics may change in any release, and are left out. `receive` is what Millrace
reads, `send` what it writes. Source: the AsyncAPI specification 3.0.0, and its bindings for Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.docs.facts import facts, holds_of
from millrace.streams.docs.messages import Message, Messages
from millrace.streams.settings import Settings
from millrace.streams.topology.names import full_name
from millrace.streams.topology.sources import sources_of
from millrace.streams.topology.topics import (
    TOPICS,
    Topic,
    TopicSettings,
    Use,
    topic_prefix,
    topic_settings,
    topics_of,
)

_BINDING = {"bindingVersion": "0.5.0"}
_NUMBERS = ("retention.ms", "retention.bytes", "max.message.bytes")
_SECURE = ("SSL", "SASL_SSL")


def asyncapi(pipeline: Pipeline, settings: Settings) -> dict[str, Any]:
    """Return the AsyncAPI document of a pipeline as it is deployed.

    Parameters
    ----------
    pipeline
        The definition.
    settings
        What topics of others are called, which agents there are, the format of outputs.
    """
    return _Document(pipeline, settings).made()


class _Document:
    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._pipeline, self._settings = pipeline, settings
        self._prefix = topic_prefix(pipeline)
        self._agents = settings.agents_of(pipeline)
        self._messages = Messages(pipeline, settings)
        self._sources = sources_of(pipeline, settings.topics)
        self._kept = {each.name: each for each in self._topic_settings()}

    def made(self) -> dict[str, Any]:
        channels = {**self._own_channels(), **self._channels_of_others()}
        document = {
            "asyncapi": "3.0.0",
            "info": self._info(),
            "servers": self._servers(),
            "defaultContentType": "application/json",
            "channels": channels,
            "operations": dict(self._operations(channels)),
            "components": {"schemas": self._messages.schemas},
        }
        return {name: each for name, each in document.items() if each}

    def _info(self) -> Mapping[str, Any]:
        schema = self._pipeline.event_schema
        listed = "\n".join(f"- {name}: {said}" for name, said in facts(self._pipeline).items())
        doc = schema.as_written.schema.get("doc", "")
        return {
            "title": self._pipeline.name,
            "version": f"{version('millrace')}+{schema.fingerprint}",
            "description": f"{doc}\n\n{listed}".strip(),
        }

    def _servers(self) -> dict[str, Any]:
        settings = self._settings
        if settings.is_embedded:
            return {}
        is_secure = settings.kafka.get("security.protocol", "").upper() in _SECURE
        protocol = "kafka-secure" if is_secure else "kafka"
        hosts = [each.strip() for each in settings.bootstrap.split(",")]
        return {
            f"broker{number}": {"host": host, "protocol": protocol}
            for number, host in enumerate(hosts, 1)
        }

    def _topic_settings(self) -> list[TopicSettings]:
        settings = self._settings
        return topic_settings(
            self._agents,
            prefix=self._prefix,
            partitions=settings.partitions,
            replication=settings.replication,
            retention_ms=int(settings.retention_hours * 3_600_000),
        )

    def _own_channels(self) -> dict[str, Any]:
        return {
            self._prefix + topic.name: self._own_channel(topic)
            for topic in topics_of(self._agents)
            if topic.use is not Use.INTERNAL
        }

    def _own_channel(self, topic: Topic) -> dict[str, Any]:
        name = self._prefix + topic.name
        config: dict[str, Any] = {**self._kept[name].config}
        config["cleanup.policy"] = [config["cleanup.policy"]]
        config |= {each: int(config[each]) for each in _NUMBERS if each in config}
        binding: dict[str, Any] = {"topic": name, "topicConfiguration": config, **_BINDING}
        if topic.partitions is not None:
            binding["partitions"] = topic.partitions
        return _channel(name, topic.holds, self._messages.of_topic(topic), binding)

    def _channels_of_others(self) -> dict[str, Any]:
        channels = {}
        for topic, source in self._sources.items():
            name = full_name(self._prefix, topic)
            mapped = "" if name == source.topic else f" In the definition: `{source.topic}`."
            holds = (
                f"{holds_of(source)}, on a topic of others, which Millrace does not create.{mapped}"
            )
            messages = self._messages.of_source(source)
            channels[name] = _channel(name, holds, messages, {"topic": name, **_BINDING})
        return channels

    def _operations(self, channels: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        sent = {self._prefix + each.name for each in TOPICS.values() if each.use is Use.OUTPUT}
        for name, channel in channels.items():
            action = "send" if name in sent else "receive"
            where = f"#/channels/{name}"
            messages = [{"$ref": f"{where}/messages/{each}"} for each in channel["messages"]]
            operation = {
                "action": action,
                "channel": {"$ref": where},
                "summary": channel["description"],
                "messages": messages,
            }
            yield f"{action}.{name}", operation | self._group(name)

    def _group(self, name: str) -> dict[str, Any]:
        """Return the binding that names the consumer group that reads a topic, if one does."""
        for agent in self._agents:
            if name in {full_name(self._prefix, each) for each in agent.reads}:
                group = {"type": "string", "enum": [f"{self._prefix}{agent.name}"]}
                return {"bindings": {"kafka": {"groupId": group, **_BINDING}}}
        return {}


def _channel(
    name: str, holds: str, messages: Mapping[str, Message], binding: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "address": name,
        "description": holds,
        "messages": messages,
        "bindings": {"kafka": binding},
    }
