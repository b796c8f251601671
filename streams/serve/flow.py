"""How much flows through a pipeline, and where it waits: offsets on the broker, sampled.

The agents are found by their topics of state, and how far they are by the offsets that their
groups have committed. Which topics of others `ingest` reads, the definition says. What went through
topics before this process began is asked of the broker by time. How far groups were then, nobody
knows: lag begins with this process.

Rates are differences of offsets: markers of transactions count, too, in the topics that workers
write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from threading import Event, Thread
from typing import Any

import structlog
from confluent_kafka import OFFSET_END, KafkaException, TopicPartition

from millrace.schemas import BrokerError, SettingsError
from millrace.streams.interval import Interval
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.protocols import Clients, Consumer, Place
from millrace.streams.kafka.reading import TopicReader
from millrace.streams.operators.registry import BESIDE
from millrace.streams.serve.running import of_one_chain, specs_of
from millrace.streams.serve.samples import Offsets, Samples
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.names import full_name, short_name
from millrace.streams.topology.topics import TOPICS, Use

SAMPLE_SECONDS = 2.0
"""How often offsets are asked for."""

MOST_SHOWN = 120
"""Points of what is shown over time."""

_STATE = "state."
_PAST_SECONDS = 60.0  # between two points of what was before
_PAST_POINTS = 60
_MOST_PAST = 20_000  # offsets that are asked for of the past
_LOOK_SECONDS = 30.0  # for agents and partitions that are new
_TIMEOUT_SECONDS = 10.0
_READ_SECONDS = 0.5
_MOST_READ = 8

_log = structlog.get_logger(__name__)


@dataclass
class _Agent:
    """An agent whose group is asked how far it is."""

    spec: AgentSpec
    consumer: Consumer
    committed: dict[Place, int] = field(default_factory=dict)


class Flow:
    """Samples offsets in a thread of its own, from `start` to `stop`.

    Parameters
    ----------
    clients
        Of the broker.
    prefix
        Of the pipeline's topics.
    clock
        Seconds since the Unix epoch.
    sources
        Topics of others that are read now, by their full names, to what they hold: `events`,
        `labels` or both.

    Attributes
    ----------
    problem
        Why it cannot; empty while it can.
    """

    def __init__(
        self,
        clients: Clients,
        prefix: str,
        clock: Callable[[], float] = time.time,
        sources: Callable[[], Mapping[str, Sequence[str]]] = dict,
    ) -> None:
        self._clients, self._prefix, self._clock = clients, prefix, clock
        self._named_sources = sources
        self._sources: dict[str, Sequence[str]] = {}  # by short names: those that the broker has
        self._agents: dict[str, _Agent] = {}
        self._places: list[Place] = []
        self._samples = Samples()
        self._drained: dict[Place, int] = {}  # offset behind which there is no record
        self._reader: Consumer | None = None
        self._stopping = Event()
        self._thread: Thread | None = None
        self.problem = ""

    def start(self) -> None:
        """Begin to sample."""
        self._thread = Thread(target=self._run, name="flow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        look = Interval(_LOOK_SECONDS)
        while not self._stopping.is_set():
            try:
                if not self._places or look.is_due:
                    self.look()
                    look.restart()
                self.sample()
            except (BrokerError, SettingsError) as error:
                self.problem = str(error)
            except KafkaException as error:
                self.problem = cause_of(error).str()
            except Exception as error:  # the page is no reason to stop serving
                self.problem = str(error)
                _log.exception("sampling offsets failed")
            self._stopping.wait(SAMPLE_SECONDS)
        self._close()

    def look(self) -> None:
        """Find the pipeline's topics and agents.

        Raises
        ------
        BrokerError
            The broker does not answer.
        """
        counts = partition_counts(self._clients)
        there = {short_name(self._prefix, name): count for name, count in counts.items()}
        self._sources = {
            name: holds
            for topic, holds in self._named_sources().items()
            if (name := short_name(self._prefix, topic)) in there and name not in TOPICS
        }
        names = [each for each in TOPICS if each in there and not TOPICS[each].is_compacted]
        self._places = [
            (self._full(each), partition)
            for each in (*self._sources, *names)
            for partition in range(there[each])
        ]
        if self._reader is None:
            self._reader = self._clients.reader(f"{self._prefix}events")
        states = [each.removeprefix(_STATE) for each in there if each.startswith(_STATE)]
        for each in specs_of(states):
            spec = replace(each, sources=frozenset(self._sources)) if "ingest" in each else each
            if spec.name in self._agents:
                self._agents[spec.name].spec = spec  # another definition may have other sources
            else:
                consumer = self._clients.consumer(f"{self._prefix}{spec.name}", {})
                self._agents[spec.name] = _Agent(spec, consumer)
        if not self._samples.ends.newest:
            self._read_past()

    def sample(self) -> None:
        """Ask how long topics are, and how far agents.

        Raises
        ------
        KafkaException
            The broker does not answer.
        """
        ends = self._offsets(OFFSET_END)
        refused = ""
        for agent in self._agents.values():
            try:
                self._ask(agent)
            except KafkaException as error:  # the right to describe one group may be missing
                refused = f"how far {agent.spec.name} is: {cause_of(error).str()}"
                agent.committed = {}
        at = self._clock()
        self._look_behind(ends)
        lags = {
            name: sum(self._waiting(agent.committed, ends).values())
            for name, agent in self._agents.items()
        }
        self._samples.add(at, ends, lags, self._prefix)
        self.problem = refused

    def rate(self, topic: str) -> float | None:
        """Return how many records a second have come to a topic lately; None if not known."""
        return self._samples.rate(topic)

    def rate_of(self, kind: str) -> float | None:
        """Return how many `events` or `labels` a second have come, from whichever topics."""
        from_others = [each for each, holds in self._sources.items() if kind in holds]
        rates = [self.rate(each) for each in (kind, *from_others)]
        known = [each for each in rates if each is not None]
        return round(sum(known), 2) if known else None

    def lag(self) -> dict[str, Any]:
        """Return how many records wait for predictions, and for how many seconds the oldest.

        None where that is not known.
        """
        found = [] if self.problem else [each for each in self.agents() if each["is_in_path"]]
        known = [each["lag_seconds"] for each in found if each["lag_seconds"] is not None]
        return {
            "records": sum(each["lag_records"] for each in found) if found else None,
            "seconds": max(known, default=None),
        }

    def agents(self) -> list[dict[str, Any]]:
        """Return the agents that run, with what they read and write and how far behind they are."""
        ends = self._samples.ends
        found = []
        for agent in self._running():
            committed = agent.committed  # the thread puts another one in its place
            waiting = self._waiting(committed, ends.newest)
            seconds = {place: ends.seconds_since(place, committed[place]) for place in waiting}
            spec = agent.spec
            found.append(
                {
                    "name": spec.name,
                    "operators": [*spec.operators],
                    "reads": sorted(spec.reads),
                    "writes": sorted(spec.writes - spec.links),
                    "lag_records": sum(waiting.values()),
                    "lag_seconds": round(max(seconds.values(), default=0.0), 2),
                    "lag_by_topic": self._by_topic(spec, waiting, seconds),
                    "is_in_path": not {*spec.operators} <= {*BESIDE, "drift"},
                }
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return all of it as data."""
        samples, agents = self._samples.shown(MOST_SHOWN), self.agents()
        here = {*self._places}
        topics = [each for each in (*self._sources, *TOPICS) if (self._full(each), 0) in here]
        steps = [*pairwise(samples)]
        return {
            "problem": self.problem,
            "agents": agents,
            "topics": [
                {
                    "name": each,
                    "topic": self._full(each),
                    "is_source": each in self._sources,
                    "use": (Use.INPUT if each in self._sources else TOPICS[each].use).value,
                    "holds": self._holds(each),
                    "partitions": sum(place[0] == self._full(each) for place in self._places),
                    "per_second": self.rate(each),
                    "end": samples[-1].totals.get(each) if samples else None,
                }
                for each in topics
            ],
            "times_ms": [int(1000 * after.at) for _, after in steps],
            "per_second": {
                each: [last.rate_since(first, each) for first, last in steps] for each in topics
            },
            "lag_records": {
                agent["name"]: [after.lags.get(agent["name"]) for _, after in steps]
                for agent in agents
            },
        }

    def _full(self, topic: str) -> str:
        return full_name(self._prefix, topic)

    def _holds(self, topic: str) -> str:
        """Return what is in a topic, for people."""
        if topic in self._sources:
            what = " and ".join(self._sources[topic]).capitalize()
            return f"{what}, where others write them."
        return TOPICS[topic].holds

    def _by_topic(
        self, spec: AgentSpec, waiting: Mapping[Place, int], seconds: Mapping[Place, float]
    ) -> dict[str, dict[str, float]]:
        """Return what waits in each topic that an agent reads."""
        found = {}
        for each in sorted(spec.reads):
            places = [place for place in waiting if place[0] == self._full(each)]
            found[each] = {
                "records": sum(waiting[place] for place in places),
                "seconds": round(max((seconds[place] for place in places), default=0.0), 2),
            }
        return found

    def _running(self) -> list[_Agent]:
        """Return the agents of the chain that is used."""
        known = {each.spec: each for each in [*self._agents.values()] if each.committed}
        furthest = sorted(known, key=lambda each: -sum(known[each].committed.values()))
        return [known[each] for each in of_one_chain(furthest)]

    def _waiting(self, committed: Offsets, ends: Offsets) -> dict[Place, int]:
        """Return how many records of each place are yet to be read, where there are any."""
        return {
            place: ends[place] - offset
            for place, offset in committed.items()
            if place in ends and max(offset, self._drained.get(place, 0)) < ends[place]
        }

    def _ask(self, agent: _Agent) -> None:
        """Ask how far an agent is."""
        wanted = {self._full(topic) for topic in agent.spec.reads}
        places = [TopicPartition(*each) for each in self._places if each[0] in wanted]
        found = agent.consumer.committed(places, timeout=_TIMEOUT_SECONDS) if places else []
        agent.committed = {
            (at.topic, at.partition): at.offset for at in found if at.offset >= 0 and not at.error
        }

    def _look_behind(self, ends: Offsets) -> None:
        """Look whether there is a record where an agent stands, or markers of transactions alone.

        Only where neither has moved, since it costs a request.
        """
        before = self._samples.ends.newest
        still = [
            (place, offset)
            for agent in self._agents.values()
            for place, offset in agent.committed.items()
            if offset < ends.get(place, 0) == before.get(place)
            and self._drained.get(place, 0) < ends[place]
        ]
        for place, offset in still[:_MOST_READ]:
            reader = TopicReader(self._clients, [TopicPartition(*place, offset)])
            try:
                if not reader.take(_READ_SECONDS) and not reader.unfinished:
                    self._drained[place] = ends[place]
            except BrokerError:  # the right to read it may be missing: then it is not known
                continue
            finally:
                reader.close()

    def _read_past(self) -> None:
        """Ask where topics were at times before this."""
        if self._clients.is_embedded or not self._places:  # which knows no times
            return
        now = self._clock()
        points = min(_PAST_POINTS, _MOST_PAST // len(self._places))
        with suppress(KafkaException):
            ends = self._offsets(OFFSET_END)
            for step in range(points, 0, -1):
                at = now - step * _PAST_SECONDS
                found = self._offsets(int(1000 * at))
                then = {
                    place: found[place] if found.get(place, -1) >= 0 else ends[place]
                    for place in ends
                }
                self._samples.add(at, then, {}, self._prefix)

    def _offsets(self, of: int) -> dict[Place, int]:
        """Return the offset of each partition at a time, or its end."""
        assert self._reader is not None, "started"
        wanted = [TopicPartition(*place, of) for place in self._places]
        found = self._reader.offsets_for_times(wanted, timeout=_TIMEOUT_SECONDS)
        return {(at.topic, at.partition): at.offset for at in found if not at.error}

    def _close(self) -> None:
        for each in (self._reader, *(agent.consumer for agent in self._agents.values())):
            if each is not None:
                each.close()
