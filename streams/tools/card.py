"""What the topics of a pipeline say of it, for its model card.

The definition is read as data, from the bundle in force: no code of its author runs here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from millrace.models.identity.definition import Description
from millrace.models.identity.reference import Reference
from millrace.models.identity.setting import described_with
from millrace.schemas import BrokerError, RecordError, SettingsError, SnapshotError
from millrace.schemas.records import Alert, Audit, Fate
from millrace.streams.formats import Outputs
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.operators.registry import CONTROL
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.tools.deployed import Deployed, deployment
from millrace.streams.tools.evaluations import Followed
from millrace.streams.topology.codec import SHIPPED
from millrace.streams.topology.topics import TOPICS

NEWEST = 100_000
"""Offsets of each partition of `outcomes` and `alerts` that are read."""

_ENDS = frozenset({Fate.JOINED, Fate.EXPIRED, Fate.EVICTED, Fate.REMOVED})
_UNTOLD = frozenset({"accepted", "refused", "no_effect"})


@dataclass(frozen=True)
class Known:
    """What is known of a pipeline.

    Attributes
    ----------
    description
        Of the definition in force, with what was set since.
    reference
        Of that definition; empty where it is that of a file.
    deployed
        The definitions that came into force, oldest first.
    followed
        How the candidates do.
    ends
        How many of the newest events ended how: by fate.
    alerts
        The newest, in order of time.
    changes
        What was changed, in order of time, once for all partitions.
    """

    description: Description
    reference: str
    deployed: Sequence[Deployed]
    followed: Followed
    ends: Counter[str]
    alerts: Sequence[Alert]
    changes: Sequence[Audit]


def known(
    clients: Clients,
    name: str,
    outputs: Outputs,
    store: DefinitionStore | None,
    own: Description | None = None,
) -> Known:
    """Return what is known of the pipeline of a name.

    Parameters
    ----------
    store
        Has the definitions; None where there is no key to read them with.
    own
        Stands for the definition in force where that cannot be read, or there is none.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such pipeline.
    SettingsError, SnapshotError
        No definition is in force, or it is signed with another key.
    """
    topics = _Topics(clients, name, outputs)
    entries = sorted(topics.records("audit"), key=lambda each: each["time_ms"])
    deployed = [found for each in entries if (found := deployment(cast(Audit, each))) is not None]
    description, reference = _in_force(name, deployed, store, own)
    followed = Followed.begun(description["task"])
    for block in topics.records("evaluations"):
        followed.add(cast(Any, block))
    outcomes = topics.records("outcomes", NEWEST)
    alerts = sorted(topics.records("alerts", NEWEST), key=lambda each: each["event_time_ms"])
    return Known(
        description,
        reference,
        deployed,
        followed,
        Counter(each["fate"] for each in outcomes if each["fate"] in _ENDS),
        cast(Sequence[Alert], alerts),
        [*_changes(cast(Sequence[Audit], entries))],
    )


def _in_force(
    name: str,
    deployed: Sequence[Deployed],
    store: DefinitionStore | None,
    own: Description | None,
) -> tuple[Description, str]:
    if deployed and store is not None:
        reference = Reference.of(deployed[-1].definition)
        try:
            description = {**store.get(reference.digest).description}
        except SnapshotError:
            if own is None:
                raise
        else:
            return described_with(description, reference.settings), str(reference)
    if own is None:
        raise SettingsError(
            f"pipeline must be the name of a pipeline that was deployed, or its file; got {name!r},"
            " of which no definition is in force"
        )
    return own, ""


def _changes(entries: Sequence[Audit]) -> Iterator[Audit]:
    """Yield what was changed; each partition tells of a command, and the first one counts."""
    told = set()
    for each in entries:
        if each["writer"] == CONTROL or each["action"] in _UNTOLD:
            continue
        place = each["command_id"] or (each["partition"], each["number"])
        if (what := (place, each["subject"], each["action"], each["after"])) not in told:
            told.add(what)
            yield each


class _Topics:
    def __init__(self, clients: Clients, name: str, outputs: Outputs) -> None:
        self._clients, self._name, self._outputs = clients, name, outputs
        self._counts = partition_counts(clients)
        if f"{name}.audit" not in self._counts:
            raise BrokerError(
                f"there is no topic {name}.audit on broker {clients.broker!r}. Start a worker of"
                " the pipeline first, and check --pipeline"
            )

    def records(self, topic: str, newest: int | None = None) -> Iterator[Mapping[str, Any]]:
        """Yield the records of a topic; what somebody else wrote to it is passed over."""
        full = f"{self._name}.{topic}"
        partitions = range(self._counts.get(full, 0))
        last = None if newest is None else dict.fromkeys(partitions, newest)
        avro = SHIPPED[TOPICS[topic].types[0]]
        for message in read_to_end(self._clients, full, partitions, last):
            try:
                yield self._outputs.decode(avro, message.value() or b"")
            except RecordError:
                continue
