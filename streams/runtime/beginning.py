"""What a task begins with that has no state: what was in force where its log begins.

A command is written to each partition that there is. So the first one that is found in the log of
a partition tells what was in force before it. Where there is none, it is what `control` has
accepted so far: what it accepts later comes into the log.
"""

from __future__ import annotations

from collections.abc import Collection

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from millrace.streams.control.in_force import InForceThen
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.runtime.definitions import FindBeginning
from millrace.streams.runtime.in_force import read_accepted
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import CARRIERS, topic_prefix

_COMMAND = shipped("accepted_command")


def find_beginning(
    clients: Clients, pipeline: Pipeline, settings: Settings, key: bytes
) -> FindBeginning:
    """Return what finds the beginning of tasks.

    Parameters
    ----------
    clients
        Of the broker.
    pipeline
        What is in force before the first command.
    settings
        Of the worker.
    key
        Signs state.
    """
    prefix = topic_prefix(pipeline)

    def find(topics: Collection[str], partition: int) -> InForceThen:
        carriers = CARRIERS & {*topics}
        accepted = read_accepted(clients, pipeline, settings, key) if carriers else None
        if accepted is None or not accepted.number:
            return InForceThen()
        firsts = (_first(clients, prefix + topic, partition) for topic in carriers)
        first = next((each for each in firsts if each), accepted.number + 1)
        return accepted.at(first - 1)

    return find


def _first(clients: Clients, topic: str, partition: int) -> int:
    """Return the number of the first command in the log of a partition; 0 for none."""
    for message in read_to_end(clients, topic, [partition]):
        value = message.value() or b""
        if value.startswith(_COMMAND.header):
            return int(_COMMAND.decode(value)["number"])
    return 0
