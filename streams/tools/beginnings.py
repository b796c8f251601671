"""Where the way to a prediction begins: with the log, or, where it has expired, in the archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import ArchiveError, BrokerError, ExpiredError
from millrace.schemas.records import Prediction
from millrace.streams.kafka.identity import Identity, embedded_identities, identities
from millrace.streams.kafka.protocols import Clients
from millrace.streams.runtime.definitions import AgentDefinitions
from millrace.streams.settings import Settings
from millrace.streams.state.archive.files import Header
from millrace.streams.state.archive.reading import ArchiveReader
from millrace.streams.state.archive.store import Place, open_archive
from millrace.streams.state.keys import state_key, state_key_if_any
from millrace.streams.tools.inputs import TaskInputs
from millrace.streams.topology.live_task import LiveTask
from millrace.streams.topology.names import full_name, short_name
from millrace.streams.topology.topics import topic_prefix

_TIMEOUT_SECONDS = 30.0


class Beginning(NamedTuple):
    """Where to begin.

    Attributes
    ----------
    version
        Name of the archived version that it is; empty where the log is whole.
    live
        The task there.
    inputs
        What it has read from there on.
    """

    version: str
    live: LiveTask
    inputs: TaskInputs


def beginnings(
    clients: Clients,
    pipeline: Pipeline,
    settings: Settings,
    definitions: AgentDefinitions,
    partition: int,
    prediction: Prediction,
) -> Iterator[Beginning]:
    """Yield where the way to a prediction may begin, the nearest first.

    A version was read from the topics of state before its time, and a prediction is stamped before
    the state that has seen its event is saved: so a version that is not younger than the prediction
    has not seen the event. Clocks of two workers may differ: then an earlier version leads to it.

    Raises
    ------
    ExpiredError
        There is none: the log has expired, and no version of the archive fits.
    """
    agent, prefix = definitions.agent, topic_prefix(pipeline)
    try:
        inputs = TaskInputs(clients, agent, prefix, partition, key=state_key_if_any(settings))
    except ExpiredError as error:
        expired = error
    else:
        yield Beginning("", definitions.begin(partition), inputs)
        return
    if not settings.archive:
        raise ExpiredError(f"{expired}. With MILLRACE_ARCHIVE, an archived version may do")
    key = state_key(settings)
    reader = ArchiveReader(
        *(open_archive(settings, prefix), pipeline, prefix, key, clients),
        find=lambda digest: definitions(digest).factory.pipeline,
        renamed=definitions.renamed,
    )
    place, known = Place(agent.name, partition), _known(clients, prefix, agent.reads)
    is_any = False
    for version, places in reversed(reader.store.versions().items()):
        if place not in places:
            continue
        try:
            archived = reader.checked(version, place).archived
            if not _may_lead_to(archived.header, prediction, known):
                continue
            inputs = TaskInputs(clients, agent, prefix, partition, archived.header.covers, key)
            saved = reader.saved(archived)
            inputs.order_from = saved.order
        except (ArchiveError, BrokerError):  # an earlier one may do
            continue
        live = definitions.live(saved.definition)
        saved.restore(live.task)
        is_any = True
        yield Beginning(version, live, inputs)
    if not is_any:
        raise ExpiredError(
            f"{expired}. No version in {reader.store.url} does: one would be needed that is older"
            f" than the prediction, and behind which the log of partition {partition} is still"
            " there. `millrace versions` lists them"
        )


def _may_lead_to(header: Header, prediction: Prediction, known: Mapping[str, Identity]) -> bool:
    """Whether a version is from before a prediction, and of the topics of today."""
    of_others = [
        topic
        for topic, each in header.inputs.items()
        if topic in known and known[topic].is_another(Identity(*each))
    ]
    return header.time_ms <= prediction["prediction_time_ms"] and not of_others


def _known(clients: Clients, prefix: str, topics: frozenset[str]) -> dict[str, Identity]:
    ask = embedded_identities if clients.is_embedded else identities
    found = ask(clients.admin(), [full_name(prefix, each) for each in topics], _TIMEOUT_SECONDS)
    return {short_name(prefix, name): each for name, each in found.items()}
