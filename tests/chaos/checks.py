"""The checks: what plain readers find, held against the ledger and against the fold of the log.

Everything is read from the topics after the workers have stopped. Each check gives the
differences that it finds, as one line each; none is what is asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from confluent_kafka import Message

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sample_events import sample_vectors
from millrace.schemas import shipped
from millrace.streams.formats.json import to_json
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.records import origin_of
from millrace.streams.operators.record import AcceptedRecord, Origin, Record
from millrace.streams.operators.registry import CONTROL, SELECTION
from millrace.streams.settings import Settings
from millrace.streams.sources.commands import read_command
from millrace.streams.tools.defined import agent_definitions
from millrace.streams.tools.deployed import deployed
from millrace.streams.tools.inspect_state import describe, read_state
from millrace.streams.tools.reproduce import fold
from millrace.streams.topology.chain import AGENTS_BESIDE, AgentSpec, parse_chain
from millrace.streams.topology.live_task import Definition
from millrace.streams.topology.names import full_name, short_name
from millrace.streams.topology.task import Task
from tests.chaos.audited import AuditChecker
from tests.chaos.covered import CertaintyBook
from tests.chaos.findings import Findings
from tests.chaos.fold import Folded, fold_partition, unstamped
from tests.chaos.lifecycle import Fates, LabelBook
from tests.chaos.likeness import difference, entries_of
from tests.chaos.load import Ledger
from tests.chaos.topics import PARTITIONS, read
from tests.chaos.trail import is_by_rule

_FOLDED = (*("features", "predictions", "outcomes", "evaluations", "alerts", "rejects", "audit"),)
_TOPICS = ("commands", "clean", *_FOLDED)
_WRITERS_OF_ALERTS = {
    "coverage": "prediction",
    "loss": "learning",
    "cut": "feature",
    "invalid": "prediction",
    "promotion": SELECTION,
}
"""What the source of an alert begins with to the operator that writes it; else it is drift."""


class Checker:
    """Reads a pipeline's topics once, and checks them.

    Parameters
    ----------
    saved_state
        What `millrace state --json` said.
    """

    def __init__(
        self, pipeline: Pipeline, settings: Settings, ledger: Ledger, saved_state: dict[str, Any]
    ) -> None:
        self.findings = Findings()
        self._pipeline = pipeline
        self._settings = settings
        self._ledger = ledger
        self._saved_state = saved_state
        self._prefix = f"{pipeline.name}."
        self._clients = KafkaClients(settings)
        self._ingests = self._definitions_of(settings.agents_of(pipeline)[0])
        self._codec = self._ingests[-1].codec  # which reads the events of all others, too
        self._inputs = sorted(settings.agents_of(pipeline)[0].reads)
        self._logs = {
            topic: read(settings.bootstrap, full_name(self._prefix, topic))
            for topic in (*self._inputs, *_TOPICS)
        }
        self._by_partition = {**self._logs, "evaluations": _by_partition(self._logs["evaluations"])}

    def run(self) -> Findings:
        """Check everything."""
        add = self.findings.add
        add("records produced", self._produced())
        add("one prediction for each good event", self._predicted_once())
        add("no prediction made before its predecessor", self._in_time())
        add("ingest", self._ingested())
        folded = [
            fold_partition(
                self._pipeline,
                self._settings,
                {t: log[partition] for t, log in self._logs.items() if partition < len(log)},
                PARTITIONS,
            )
            for partition in range(PARTITIONS)
        ]
        for topic in _FOLDED:
            add(f"{topic} equal the fold's", self._topic_equals(topic, folded))
        add("commands by the rule", self._asked_by_rule(folded[0]))
        add("commands that come into the log", self._accepted(folded[0]))
        add("fate of every label", self._labels())
        self._check_certainty()
        add("saved state equals the fold's", self._state_equals(folded))
        add("version, metrics, digest", self._models_equal(folded))
        trail = AuditChecker(self._pipeline, self._settings, self._logs, self._codec)
        trail.run(self.findings, [*self._predictions()], self._saved_state["candidates"])
        self._count()
        return self.findings

    def _produced(self) -> Iterator[str]:
        yield from self._ledger.failures
        there = sum(len(log) for topic in self._inputs for log in self._logs[topic])
        if there != self._ledger.kinds.total():
            yield f"{self._ledger.kinds.total()} records were produced, {there} are there"

    def _predicted_once(self) -> Iterator[str]:
        found = Counter(each["event_id"] for log in self._predictions() for each in log)
        for event_id in self._ledger.good_events:
            count = found.pop(event_id, 0)
            if count != 1:
                yield f"{event_id} has {count} predictions"
        yield from (f"{each} was never sent, or is no good" for each in found)

    def _in_time(self) -> Iterator[str]:
        """A worker that was paused and fenced would write with an older time than its heir's."""
        for partition, log in enumerate(self._predictions()):
            newest_ms = 0
            for each in log:
                if each["prediction_time_ms"] < newest_ms:
                    yield f"{each['event_id']} in {partition} is behind by a worker's while"
                newest_ms = max(newest_ms, each["prediction_time_ms"])

    def _ingested(self) -> Iterator[str]:
        """Every record of the inputs is in `clean` or `rejects`, once and in its order."""
        rejected = []
        for topic in self._inputs:
            for partition, log in enumerate(self._logs[topic]):
                each_made = [[*self._fold(each, log)] for each in self._ingests]
                source = f"{topic}[{partition}]"
                made = each_made[0]
                rejected += [repr(each.value) for each in made if each.topic == "rejects"]
                for target in range(PARTITIONS):
                    # ingest goes over to another definition anywhere
                    wanted = [
                        {
                            each.codec.encode(record)
                            for each, record in zip(self._ingests, records, strict=True)
                        }
                        for records in zip(*each_made, strict=True)
                        if records[0].partition == target
                    ]
                    yield from _in_order(wanted, self._places(target), source)
        there = [repr(each) for each in self._rejects() if self._read_from(each) in self._inputs]
        yield from _unequal("rejects of ingest", sorted(rejected), sorted(there))
        good = sum(not self._is_command(each) for log in self._logs["clean"] for each in log)
        inputs = sum(len(log) for topic in self._inputs for log in self._logs[topic])
        if good + len(there) != inputs:
            yield f"{inputs} records came in, {good} are clean, {len(there)} rejected"

    def _is_command(self, message: Message) -> bool:
        record = self._codec.decode(origin_of(message, self._prefix))
        return isinstance(record, AcceptedRecord)

    def _places(self, partition: int) -> dict[tuple[bytes | None, bytes], list[int]]:
        places: dict[tuple[bytes | None, bytes], list[int]] = {}
        for index, message in enumerate(self._logs["clean"][partition]):
            places.setdefault((message.key(), message.value() or b""), []).append(index)
        return places

    def _topic_equals(self, topic: str, folded: list[Folded]) -> Iterator[str]:
        """What each agent writes is in the order of the fold; of two agents, in any."""
        for partition, each in enumerate(folded):
            log = self._by_partition[topic][partition]
            there = [self._there(topic, message) for message in log]
            for (name, agent), made in each.topics.items():
                if name != topic:
                    continue
                wanted = [(agent, _plain(self._codec.encode(e)[1], topic)) for e in made]
                ours = [e for e in there if e[0] == agent]
                yield from _unequal(f"{topic}[{partition}]", wanted, ours)
            writers = {agent for name, agent in each.topics if name == topic}
            strangers = [e for e in there if e[0] not in writers and e[0] != "ingest"]
            yield from (f"{topic}[{partition}] holds {e[1]}" for e in strangers)

    def _there(self, topic: str, message: Message) -> tuple[str, Any]:
        """Return which agent wrote a record, and the record."""
        value = _plain(message.value() or b"", topic)
        agents = self._settings.agents_of(self._pipeline)
        if topic == "rejects":
            inputs = {**dict.fromkeys(self._inputs, "ingest"), "commands": CONTROL}
            inputs |= {topic: each.name for each in agents[1:] for topic in each.reads}
            return inputs[self._read_from(value)], value
        if topic == "audit":
            return value["writer"], value
        writer = {"features": "feature", "alerts": "drift"}.get(topic, "prediction")
        if topic == "alerts":
            writer = _WRITERS_OF_ALERTS.get(value["source"].partition(":")[0], writer)
        return next(each.name for each in agents if writer in each), value

    def _labels(self) -> Iterator[str]:
        """The book of labels, the models' versions and the dead letters agree."""
        after = ("clean", "commands", *self._inputs)  # what is not used there never meets a label
        rejected = Counter(
            self._of_whom(e) for e in self._rejects() if self._read_from(e) not in after
        )
        versions = Counter[int]()
        for each in self._saved_state["candidates"]:
            if each["is_champion"]:
                versions[each["partition"]] += each["version"]
        expected = Counter[tuple[str, str]]()
        unused = {  # events whose features cannot be computed
            (each["partition"], each["offset"])
            for each in self._rejects()
            if self._read_from(each) == "clean"
        }
        for partition, log in enumerate(self._logs["clean"]):
            fates = self._book(e for e in log if (partition, e.offset()) not in unused)
            expected += fates.rejected
            self._count_fates(fates)
            if not fates.is_complete:
                yield f"the book of partition {partition} does not add up"
            learned = len(fates.learned) - fates.scored
            if versions[partition] != learned and not self._forgets_models:
                yield f"{versions[partition]} labels are learned in {partition}, of {learned}"
        for who in sorted(expected.keys() | rejected.keys()):
            if expected[who] != rejected[who]:
                yield f"{who} is {rejected[who]} times a dead letter, of {expected[who]}"

    @property
    def _forgets_models(self) -> bool:
        return self._pipeline.scope == "key"  # beyond max_models, the oldest are evicted

    def _book(self, log: Iterable[Message]) -> Fates:
        book = LabelBook(int(self._pipeline.pending.ttl.total_seconds() * 1000))
        for message in log:
            record = self._codec.decode(origin_of(message, self._prefix))
            value = record.value
            if isinstance(record, AcceptedRecord):
                if value["command"] in ("pause", "resume"):
                    book.is_paused = value["command"] == "pause"
                elif value["command"] == "tick":
                    book.pass_time(float(value["arguments"]["seconds"]))
            elif record.type == "Label":
                book.take_label(value["event_id"], value["label"])
            elif record.type == "Removal":
                book.remove(value["event_id"])
            else:
                book.take_event(value["event_id"], value["event_time_ms"], value["label"])
        return book.fates

    def _read_from(self, rejected: dict[str, Any]) -> str:
        return short_name(self._prefix, rejected["topic"])

    def _of_whom(self, rejected: dict[str, Any]) -> tuple[str, str]:
        topic = self._read_from(rejected)
        origin = Origin(topic, 0, 0, 0, rejected["key"], rejected["value"])
        return self._codec.decode(origin).value["event_id"], rejected["reason"]

    def _check_certainty(self) -> None:
        """Sets, reasons and coverage agree with published probabilities and labels."""
        for partition, predictions in enumerate(self._predictions()):
            outcomes, evaluations = (
                [
                    _plain(each.value() or b"", topic)
                    for each in self._by_partition[topic][partition]
                ]
                for topic in ("outcomes", "evaluations")
            )
            CertaintyBook(predictions, outcomes, evaluations).check(self.findings)

    def _state_equals(self, folded: list[Folded]) -> Iterator[str]:
        for agent in (*parse_chain(self._settings.chain)[1:], *AGENTS_BESIDE):
            saved, definitions = read_state(self._clients, self._pipeline, self._settings, agent)
            for partition, each in enumerate(folded):
                if agent.name not in each.covers:
                    continue
                where = f"state.{agent.name}[{partition}]"
                if partition not in saved:
                    yield f"{where} is empty"
                    continue
                covers = saved[partition].covers
                yield from _short_of(where, covers, each.covers[agent.name])
                task = definitions.live(saved[partition].definition).task
                saved[partition].restore(task)
                yield from _unlike(where, task, each.tasks[agent.name])

    def _models_equal(self, folded: list[Folded]) -> Iterator[str]:
        """What `millrace state --json` says is what it would say of the fold."""
        vectors = sample_vectors(self._pipeline)
        agents = self._settings.agents_of(self._pipeline)
        learner = next(each for each in agents if "learning" in each)
        wanted = [
            json.loads(to_json(asdict(row)))
            for partition, each in enumerate(folded)
            for row in describe(partition, each.tasks[learner.name], vectors)
        ]
        yield from _unequal("models", wanted, self._saved_state["candidates"])

    def _asked_by_rule(self, folded: Folded) -> Iterator[str]:
        """What selection asks for is among the commands, once and in its order."""
        made = folded.topics["commands", SELECTION]
        wanted = [_unwritten(self._codec.encode(each)[1]) for each in made]
        values = [each.value() or b"" for each in self._logs["commands"][0]]
        there = [_unwritten(each) for each in values if is_by_rule(each)]
        yield from _unequal("commands by the rule", wanted, there)

    def _accepted(self, folded: Folded) -> Iterator[str]:
        """What control writes to each partition is there, in its order."""
        made = folded.topics["clean", CONTROL]
        for partition, log in enumerate(self._logs["clean"]):
            wanted = [self._codec.encode(each)[1] for each in made if each.partition == partition]
            there = [each.value() for each in log if self._is_command(each)]
            yield from _unequal(f"commands of clean[{partition}]", wanted, there)

    def _fold(self, definition: Definition, log: list[Message]) -> Iterator[Record]:
        origins = (origin_of(each, self._prefix) for each in log)
        return fold(definition.factory.make(), origins, definition.codec)

    def _definitions_of(self, agent: AgentSpec) -> list[Definition]:
        """Return what an agent makes of each definition that was in force, in their order."""
        find = agent_definitions(self._clients, self._pipeline, self._settings, agent, PARTITIONS)
        digests = (each.definition for each in deployed(self._clients, self._pipeline))
        return [find(each) for each in dict.fromkeys(digests)]

    def _predictions(self) -> Iterator[list[dict[str, Any]]]:
        decode = shipped("prediction").decode
        for log in self._logs["predictions"]:
            yield [decode(each.value() or b"") for each in log]

    def _rejects(self) -> Iterator[dict[str, Any]]:
        decode = shipped("reject").decode
        for log in self._logs["rejects"]:
            yield from (decode(each.value() or b"") for each in log)

    def _count(self) -> None:
        counts = self.findings.counts
        for kind, count in sorted(self._ledger.kinds.items()):
            counts[f"produced: {kind}"] = count
        for topic in self._logs:
            counts[f"on {topic}"] = sum(len(log) for log in self._logs[topic])
        for each in self._rejects():
            counts[f"rejected: {each['reason']}"] += 1
        topic = f"{self._prefix}predictions"
        everything = read(self._settings.bootstrap, topic, isolation="read_uncommitted")
        aborted = sum(len(log) for log in everything) - counts["on predictions"]
        counts["predictions in aborted transactions, which nobody saw"] = aborted

    def _count_fates(self, fates: Fates) -> None:
        counts = self.findings.counts
        counts["labels learned"] += len(fates.learned) - fates.scored
        counts["labels scored while learning was paused"] += fates.scored
        counts["labels that still wait"] += len(fates.held)
        counts["labels corrected in time"] += fates.corrected


def _plain(data: bytes, topic: str) -> Any:
    """Return what two records on a topic must have in common: all but the time of a prediction."""
    if topic == "features":
        return data
    value = shipped(topic.removesuffix("s")).decode(data)
    return unstamped(value) if topic == "predictions" else value


def _unwritten(command: bytes) -> dict[str, Any]:
    """Return a command without the time at which it was written, which a clock says."""
    return {**read_command(command), "time_ms": None}


def _unequal(where: str, wanted: list[Any], there: list[Any]) -> Iterator[str]:
    for index, (ours, theirs) in enumerate(zip_longest(wanted, there)):
        if repr(ours) != repr(theirs):
            yield f"{where} number {index} is {_short(theirs)}, of {_short(ours)}"


def _short_of(where: str, covers: dict[str, int], wanted: dict[str, int]) -> Iterator[str]:
    """State covers the last record, and may cover the markers of transactions behind it."""
    is_less = any(covers.get(topic, 0) < offset for topic, offset in wanted.items())
    if is_less or covers.keys() != wanted.keys():
        yield f"{where} covers {covers}, of {wanted}"


def _unlike(where: str, task: Task, wanted: Task) -> Iterator[str]:
    ours = dict(wanted.stores())
    for name, store in task.stores():
        found = difference(entries_of(store), entries_of(ours[name]))
        if found is not None:
            yield f"{where} {name}: saved and folded differ at {found[:300]}"


def _in_order(
    wanted: list[set[tuple[bytes | None, bytes]]],
    places: dict[tuple[bytes | None, bytes], list[int]],
    source: str,
) -> Iterator[str]:
    """Whether records are there, in one of their forms, once each, and in their order."""
    last = -1
    for forms in wanted:
        candidates = [at for each in forms for at in places.get(each, ()) if at > last]
        if not candidates:
            yield f"{min(forms)[1][:40]!r} of {source} is not in clean, or not in its place"
        else:
            last = min(candidates)


def _short(value: Any) -> str:
    text = json.dumps(value, default=repr) if isinstance(value, dict) else repr(value)
    return text if len(text) < 400 else f"{text[:400]}..."


def _by_partition(logs: list[list[Message]]) -> list[list[Message]]:
    """Return blocks of events, which are all on one partition, by the partition of their events."""
    found: list[list[Message]] = [[] for _ in range(PARTITIONS)]
    for message in (each for log in logs for each in log):
        found[_plain(message.value() or b"", "evaluations")["partition"]].append(message)
    return found
