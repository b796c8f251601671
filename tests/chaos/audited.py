"""The audit, checked: as a whole, against the commands, and against what predictions name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import Message

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RecordError
from millrace.schemas.records import Audit
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.records import origin_of
from millrace.streams.operators.record import Record
from millrace.streams.operators.registry import CONTROL
from millrace.streams.settings import Settings
from millrace.streams.tools.audit import read_audit, read_trail, saved_states, verify
from millrace.streams.topology.codec import TopicCodec
from tests.chaos.findings import Findings
from tests.chaos.fleet import STATE_KEY
from tests.chaos.topics import PARTITIONS
from tests.chaos.trail import (
    CommandBook,
    InForce,
    not_by_champion,
    not_in_force,
    other_champions,
    unapplied,
    unlike_the_book,
)


class AuditChecker:
    """Checks what one pipeline has on `audit`.

    Parameters
    ----------
    pipeline
        The definition to begin with.
    settings
        Of the workers.
    logs
        Topic, without prefix, to its records by partition.
    codec
        Decodes them.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Settings,
        logs: Mapping[str, list[list[Message]]],
        codec: TopicCodec,
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._logs = logs
        self._codec = codec
        self._prefix = f"{pipeline.name}."
        self._entries = [[read_audit(each.value() or b"") for each in log] for log in logs["audit"]]

    def run(
        self,
        findings: Findings,
        predictions: Sequence[list[dict[str, Any]]],
        saved: Sequence[Mapping[str, Any]],
    ) -> None:
        """Check everything.

        Parameters
        ----------
        predictions
            Partition to what was predicted there, in order.
        saved
            The candidates as `millrace state --json` has them.
        """
        self._check_chains(findings)
        models = [*self._pipeline.models]
        book = CommandBook(models[0], models)
        commands = {each.offset() or 0: each.value() for each in self._logs["commands"][0]}
        by_control = self._by(CONTROL, 0)
        findings.add("answer to each command", unlike_the_book(book, commands, by_control))
        agents = self._settings.agents_of(self._pipeline)
        learner = next(each for each in agents if "learning" in each)
        (topic,) = learner.reads
        for partition, made in enumerate(predictions):
            own = self._by(learner.name, partition)
            where = f"{learner.name}[{partition}]"
            findings.add("each command applied once", unapplied(book.accepted, own, where))
            in_force = InForce(book.history[0] if book.history else "", models[0], own)
            wrong = not_in_force(in_force, made, self._places_of_events(topic, partition))
            findings.add("predictions name what was in force", wrong)
            log = self._records(topic, partition)
            others = not_by_champion(book, models[0], log, made)
            findings.add("the champion by the commands predicts", others)
        others = other_champions(book, saved, PARTITIONS)
        findings.add("one champion serves in every partition", others)
        for (command, answer), count in book.answers_to_rule.items():
            findings.counts[f"{command} by the rule, {answer}"] = count
        findings.counts["commands accepted"] = len(book.accepted)
        findings.counts["commands refused"] = len(commands) - len(book.accepted)
        findings.counts["definitions deployed"] = len(book.history)

    def _check_chains(self, findings: Findings) -> None:
        clients = KafkaClients(self._settings)
        states = saved_states(clients, self._pipeline, STATE_KEY.encode())
        found = verify(read_trail(clients, self._pipeline), states, self._prefix)
        findings.add("audit is whole", [f"{each.where} {each.what}" for each in found.breaks])
        findings.add("audit is saved", [f"{each} has no saved state" for each in found.unsaved])

    def _by(self, writer: str, partition: int) -> list[Audit]:
        return [each for each in self._entries[partition] if each["writer"] == writer]

    def _places_of_events(self, topic: str, partition: int) -> dict[str, int]:
        """Return each event's first offset; labels have places of their own."""
        places: dict[str, int] = {}
        for record in self._records(topic, partition):
            if record.type in ("Event", "FeatureVector"):
                places.setdefault(str(record.value["event_id"]), record.origin.offset)
        return places

    def _records(self, topic: str, partition: int) -> Iterator[Record]:
        """Yield what is in one partition of a topic, but for what cannot be decoded."""
        for message in self._logs[topic][partition]:
            with suppress(RecordError):
                yield self._codec.decode(origin_of(message, self._prefix))
