"""Topics on the broker: checked, created where they are missing, counted, waited for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewPartitions, NewTopic

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, TopicError
from millrace.streams.kafka.cleanup import cleanup_problems
from millrace.streams.kafka.diagnosis import Request, explain, explained
from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.identity import identities
from millrace.streams.kafka.protocols import Clients
from millrace.streams.settings import Settings
from millrace.streams.topology.names import full_name, short_name
from millrace.streams.topology.partitions import check_inputs, fitting_partitions
from millrace.streams.topology.sources import check_starts, sources_of, unknown_names
from millrace.streams.topology.topics import TopicSettings, topic_prefix, topic_settings

CONNECT_TIMEOUT_SECONDS = 8.0
_RETRY_SECONDS = 0.05
_CREATE_TIMEOUT_SECONDS = 30.0

_log = structlog.get_logger(__name__)


def partition_counts(clients: Clients) -> dict[str, int]:
    """Return every topic on the broker and how many partitions it has.

    Raises
    ------
    BrokerError
        The broker does not answer.
    """
    admin = clients.admin()
    try:
        known = admin.list_topics(timeout=CONNECT_TIMEOUT_SECONDS)
    except KafkaException as error:
        admin.poll(0)  # for the reason, which it has logged
        raise BrokerError(explain(clients, cause_of(error))) from error
    return {name: len(topic.partitions) for name, topic in known.topics.items()}


def count_partitions(clients: Clients, topic: str) -> int:
    """Return how many partitions a topic has.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such topic.
    """
    partitions = partition_counts(clients).get(topic)
    if partitions is None:
        _require_rights(clients, [topic])
        raise BrokerError(
            f"there is no topic {topic!r} on broker {clients.broker!r}. To create a pipeline's"
            " topics, start a worker or run `millrace topics --create`"
        )
    return partitions


def ensure_topics(clients: Clients, topics: Iterable[TopicSettings]) -> dict[str, int]:
    """Create the topics that are missing and return the partitions of each one.

    Raises
    ------
    BrokerError
        The broker does not answer, or refuses.
    """
    wanted = list(topics)
    present = partition_counts(clients)
    missing = [topic for topic in wanted if topic.name not in present]
    if missing:
        _require_rights(clients, [topic.name for topic in missing])
        if clients.is_embedded:
            _create_on_embedded(clients, [topic.name for topic in missing])
        else:
            _create(clients, missing)
        present = _wait_known(clients, {topic.name: 1 for topic in missing})
    return {topic.name: present.get(topic.name, topic.partitions) for topic in wanted}


def _require_rights(clients: Clients, topics: Iterable[str]) -> None:
    """Raise an error where a topic is only missing because the broker does not show it."""
    if clients.is_embedded:
        return
    admin = clients.admin()
    for topic in topics:
        with explained(clients, Request(topic, operation="Describe")):
            identities(admin, [topic], CONNECT_TIMEOUT_SECONDS)


def topics_wanted(
    pipeline: Pipeline, settings: Settings, present: Mapping[str, int]
) -> list[TopicSettings]:
    """Return the topics that a pipeline needs in the chain that is set, beside what is there."""
    prefix, counts = topic_prefix(pipeline), _fitting(pipeline, settings, present)
    wanted = topic_settings(
        settings.agents_of(pipeline),
        prefix=prefix,
        partitions=settings.partitions,
        replication=settings.replication,
        retention_ms=int(settings.retention_hours * 3_600_000),
        compression=settings.compression,
    )
    return [replace(each, partitions=counts[short_name(prefix, each.name)]) for each in wanted]


def prepare_topics(clients: Clients, pipeline: Pipeline, settings: Settings) -> dict[str, int]:
    """Create a pipeline's topics where they are missing; return the partitions of each.

    All is checked before anything is created. What is kept otherwise than it should be is logged.

    Raises
    ------
    BrokerError
        The broker does not answer, or refuses, or has topics that do not fit the pipeline, or lacks
        one of a source.
    """
    prefix, sources = topic_prefix(pipeline), sources_of(pipeline, settings.topics)
    if clients.is_embedded:  # where nobody else could have created them
        _create_on_embedded(clients, [full_name(prefix, each) for each in sources])
    present = partition_counts(clients)
    require_sources(pipeline, settings, present)
    counts = _fitting(pipeline, settings, present)
    _check_agents(pipeline, settings, counts)
    wanted = topics_wanted(pipeline, settings, present)
    there = [each for each in wanted if each.name in present]
    for problem in cleanup_problems(clients, there):
        _log.warning(problem)
    created = ensure_topics(clients, wanted)
    wider = {each.name: each.partitions for each in wanted if created[each.name] < each.partitions}
    created |= {full_name(prefix, each): counts[each] for each in sources}
    if clients.is_embedded:  # all of its topics are alike
        return created
    widen_topics(clients, wider)
    return created | wider


def find_sources(clients: Clients, pipeline: Pipeline, settings: Settings) -> None:
    """Do as `require_sources` on the broker, before anything is created or registered.

    Raises
    ------
    SettingsError, TopicError
        As `require_sources` does. On an embedded broker, sources are created.
    """
    for name, nearest in unknown_names(pipeline, settings.topics).items():
        event = "MILLRACE_TOPICS has a name that no source has, for now"
        _log.warning(event, name=name, did_you_mean=nearest or None)
    if not clients.is_embedded:
        require_sources(pipeline, settings, partition_counts(clients))


def require_sources(pipeline: Pipeline, settings: Settings, present: Mapping[str, int]) -> None:
    """Refuse a pipeline of which a source is missing: others would have to create it.

    Raises
    ------
    SettingsError
        A source begins where the chain cannot.
    TopicError
        A topic of a source is not there.
    """
    check_starts(pipeline, settings.agents_of(pipeline))
    prefix = topic_prefix(pipeline)
    names = [full_name(prefix, each) for each in sources_of(pipeline, settings.topics)]
    if missing := sorted({*names} - present.keys()):
        unknown = unknown_names(pipeline, settings.topics).items()
        misnamed = "".join(
            f" MILLRACE_TOPICS has the name {name!r}, which no source has"
            + (f": did you mean {nearest!r}?" if nearest else ".")
            for name, nearest in unknown
        )
        raise TopicError(
            f"the topics of sources must be there before the pipeline is; got none of the names"
            f" {', '.join(missing)}. They are not there, or not allowed to describe (see"
            " docs/security.md). Create them, or set MILLRACE_TOPICS to what they are called"
            f" here: {missing[0]}=NAME.{misnamed}"
        )


def _fitting(pipeline: Pipeline, settings: Settings, present: Mapping[str, int]) -> dict[str, int]:
    """Return the partitions of each topic that a pipeline uses, by its short name."""
    there = {short_name(topic_prefix(pipeline), name): count for name, count in present.items()}
    return fitting_partitions(settings.agents_of(pipeline), there, settings.partitions)


def _check_agents(pipeline: Pipeline, settings: Settings, counts: Mapping[str, int]) -> None:
    """Refuse topics that an agent cannot read side by side.

    Raises
    ------
    BrokerError
        Their numbers of partitions differ.
    """
    for agent in settings.agents_of(pipeline):
        check_inputs(agent, counts, topic_prefix(pipeline))


def topic_problems(
    clients: Clients, pipeline: Pipeline, settings: Settings, present: Mapping[str, int]
) -> list[str]:
    """Return what is wrong with the topics that are there."""
    wanted = topics_wanted(pipeline, settings, present)
    problems = [
        f"topic {each.name} has {present[each.name]} partitions and needs {each.partitions}: a"
        " worker adds them when it starts, and so does --create"
        for each in wanted
        if present.get(each.name, each.partitions) < each.partitions
    ]
    try:
        require_sources(pipeline, settings, present)
        _check_agents(pipeline, settings, _fitting(pipeline, settings, present))
    except BrokerError as error:
        problems.append(str(error))
    return problems + cleanup_problems(clients, [each for each in wanted if each.name in present])


def widen_topics(clients: Clients, partitions: Mapping[str, int]) -> None:
    """Add partitions to topics of state, which hold each partition's state on its own.

    Raises
    ------
    BrokerError
        The broker refuses.
    """
    if not partitions:
        return
    wider = [NewPartitions(topic, count) for topic, count in partitions.items()]
    admin = clients.admin()  # it must live until its answers are there
    answers = admin.create_partitions(wider, request_timeout=_CREATE_TIMEOUT_SECONDS)
    for topic, widened in answers.items():
        try:
            widened.result()
        except KafkaException as error:
            cause = cause_of(error)
            if cause.code() != KafkaError.INVALID_PARTITIONS:  # another worker was first
                why = explain(clients, cause, Request(topic, operation="Alter"))
                raise BrokerError(
                    f"topic {topic!r} must have {partitions[topic]} partitions, as many as the"
                    f" topics that it holds the state of; adding them failed: {why}. Add them with"
                    " kafka-topics.sh --alter"
                ) from error
    _wait_known(clients, partitions)


def _wait_known(clients: Clients, wanted: Mapping[str, int]) -> dict[str, int]:
    """Wait until the broker that answers knows the partitions that another one has created.

    That took 0.1 s on a busy broker; a consumer that asks sooner is assigned none of them.
    """
    deadline = time.monotonic() + CONNECT_TIMEOUT_SECONDS
    while True:
        present = partition_counts(clients)
        is_known = all(present.get(name, 0) >= count for name, count in wanted.items())
        if is_known or time.monotonic() > deadline:
            return present
        time.sleep(_RETRY_SECONDS)


def _create(clients: Clients, missing: list[TopicSettings]) -> None:
    requests = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication,
            config=topic.config,
        )
        for topic in missing
    ]
    admin = clients.admin()  # which must live until the answers are there
    for is_trial in (True, False):  # nothing is created where one of them cannot be
        answers = admin.create_topics(
            requests, request_timeout=_CREATE_TIMEOUT_SECONDS, validate_only=is_trial
        )
        for name, created in answers.items():
            try:
                created.result()
            except KafkaException as error:
                cause = cause_of(error)
                if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    why = explain(clients, cause, Request(name, operation="Create"))
                    raise BrokerError(f"could not create topic {name!r}: {why}") from error


def _create_on_embedded(clients: Clients, topics: Iterable[str]) -> None:
    """Make topics appear on the embedded broker, which has no CreateTopics."""
    admin = clients.admin()
    for topic in topics:
        admin.list_topics(topic, timeout=CONNECT_TIMEOUT_SECONDS)
