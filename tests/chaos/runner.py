"""One run: a broker, workers, a load, faults; then the checks."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.fetched import REPOSITORY
from dev.kafka import KafkaBroker
from millrace.models.pipeline.loading import load_pipeline
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings
from millrace.streams.topology.names import full_name
from millrace.streams.topology.topics import shown_name, state_topic
from tests.chaos.checks import Checker
from tests.chaos.commander import Commander
from tests.chaos.faults import KINDS, Faults
from tests.chaos.findings import Findings
from tests.chaos.fleet import SESSION_SECONDS, STATE_KEY, Fleet
from tests.chaos.load import Feeder, Payments
from tests.chaos.pipeline import SLOW
from tests.chaos.registry import Registry
from tests.chaos.topics import (
    RETAINED,
    SOURCES,
    create_sources,
    expire,
    name_here,
    wait_consumed,
    width,
)
from tests.chaos.versions import FILE, Versions
from tests.chaos.watch import Watch

_CONSUMED_SECONDS = 180.0

Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do.

    Parameters
    ----------
    seed
        Of the load, and of the faults.
    faults, minutes
        It ends when so many have happened, or when so much time is over.
    workers
        How many there are meant to be.
    events_per_second
        Labels come on top.
    kinds
        Of faults, a round of them.
    scope
        Of the models: `partition` or `key`.
    chain
        Any in which ingest is an agent of its own.
    broken
        Workers that are wrong on purpose: see `tests.chaos.broken`. Empty for the real ones.
    name
        Another name for the pipeline, where its topics share a broker with others.
    warm_up_seconds
        Before the first fault.
    recovery_seconds
        A recovery from a kill, with nothing else going on, must be faster.
    """

    seed: int = 1
    faults: int = 15
    minutes: float = 30.0
    workers: int = 2
    events_per_second: float = 100.0
    kinds: tuple[str, ...] = KINDS
    scope: str = "partition"
    chain: str = "default"
    broken: str = ""
    name: str = "chaos"
    warm_up_seconds: float = 3.0
    recovery_seconds: float = 15.0


@dataclass
class Report:
    """What happened, and what is wrong.

    `problems` are what should not have happened on the way, such as a worker that ended by
    itself; `findings` is what the checks found afterwards.
    """

    plan: Plan
    faults: dict[str, int] = field(default_factory=dict)
    overlapping: int = 0
    seconds: float = 0.0
    recoveries_seconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    @property
    def is_good(self) -> bool:
        return not self.problems and self.findings.total == 0

    @property
    def slowest_recovery_seconds(self) -> float:
        return max(self.recoveries_seconds, default=0.0)

    @property
    def median_recovery_seconds(self) -> float:
        return statistics.median(self.recoveries_seconds or [0.0])


class Run:
    """Carries a plan out.

    Parameters
    ----------
    plan
        What to do.
    directory
        Where the workers' logs go.
    broker
        One that runs; it is restarted and killed if the plan's kinds of faults say so.
    say
        Told of what happens, a line at a time.
    """

    def __init__(self, plan: Plan, directory: Path, broker: KafkaBroker, say: Say) -> None:
        self._slow = directory / "slow"
        attribute = "keyed" if plan.scope == "key" else "pipeline"
        self._plan, self._broker, self._tell = plan, broker, say
        self._started = time.monotonic()
        self.settings = Settings(
            pipeline=f"{FILE}:{attribute}",
            pipeline_name=plan.name,
            broker=broker.bootstrap,
            chain=plan.chain,
            state_key=STATE_KEY,  # type: ignore[arg-type]  # pydantic hides it
            topics={source: name_here(plan.name, source) for source in SOURCES},
        )
        self.pipeline = load_pipeline(self.settings.pipeline).with_name(plan.name)
        self._registry = Registry(self.pipeline.event_schema.accepted.schema)
        url = {"schema_registry_url": self._registry.url}
        self.settings = self.settings.model_copy(update=url)
        self.prefix = f"{plan.name}."
        directory.mkdir(parents=True, exist_ok=True)
        broken = ("-m", "tests.chaos.broken", plan.broken)
        command = broken if plan.broken else ("-m", "millrace.streams.cli", "worker")
        self._versions = Versions(directory, attribute)
        self.fleet = Fleet(self.environment(), directory, command)
        self.feeder = Feeder(
            broker.bootstrap,
            plan.name,
            Payments(self.pipeline, plan.seed, plan.events_per_second),
        )

    def environment(self) -> dict[str, str]:
        """Return the settings that every worker and command gets."""
        return {
            "MILLRACE_BROKER": self.settings.broker,
            "MILLRACE_PIPELINE": self.settings.pipeline,
            "MILLRACE_PIPELINE_NAME": self.settings.pipeline_name,
            "MILLRACE_CHAIN": self.settings.chain,
            "MILLRACE_STATE_KEY": STATE_KEY,
            "MILLRACE_TOPICS": ",".join(f"{a}={b}" for a, b in self.settings.topics.items()),
            "MILLRACE_SCHEMA_REGISTRY_URL": self._registry.url,
            SLOW: str(self._slow),
            "MILLRACE_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
        }

    def run(self) -> Report:
        """Run it all; whatever happens, no worker is left behind."""
        report = Report(self._plan)
        self._started = time.monotonic()
        create_sources(self._broker.bootstrap, self._plan.name)
        prepare_topics(KafkaClients(self.settings), self.pipeline, self.settings)
        watch = Watch(self._broker.bootstrap, f"{self.prefix}predictions")
        self._registry.start()
        try:
            self._do_harm(watch, report)
            self._say("the load ends")
            self._come_to_rest(report)
            report.seconds = time.monotonic() - self._started
            self._say("the workers have stopped; checking")
            self._check(report)
            self._say("everything on the topics expires")
            self._outlive_expiry(watch, report)
        finally:
            watch.stop()
            self.fleet.end()
            self._registry.stop()
        report.problems += self.fleet.fallen
        self._say("done")
        return report

    def _do_harm(self, watch: Watch, report: Report) -> None:
        plan, fleet = self._plan, self.fleet
        for worker in [fleet.start() for _ in range(plan.workers)]:
            fleet.wait_ready(worker)
        self.feeder.start()
        agents = self.settings.agents_of(self.pipeline)
        commander = Commander(self.settings, self.prefix, self._versions, plan.seed)
        faults = Faults(
            plan.seed,
            plan.kinds,
            fleet,
            self._broker,
            watch,
            plan.workers,
            registry=self._registry,
            feeder=self.feeder,
            commander=commander,
            slow=self._slow,
            state_topics=[self.prefix + each for each in ("models", *map(state_topic, agents))],
        )
        faults.settle()
        self._say(f"{plan.workers} workers predict")
        time.sleep(plan.warm_up_seconds)
        deadline = time.monotonic() + plan.minutes * 60
        while sum(faults.done.values()) < plan.faults and time.monotonic() < deadline:
            measured = len(faults.recoveries_seconds)
            faults.strike()
            recovery = [f", {each:.1f} s" for each in faults.recoveries_seconds[measured:]]
            number = sum(faults.done.values())
            self._say(f"{number:4} {faults.last:15}{watch.seen:8} predictions{''.join(recovery)}")
        faults.settle()
        if not plan.broken:
            faults.promote_by_rule()
            self._say(f"{'':5}promotion by the rule{watch.seen:8} predictions")
        report.faults, report.overlapping = dict(faults.done), faults.overlapping
        report.recoveries_seconds = faults.recoveries_seconds
        commander.close()
        report.problems += [*faults.problems, *commander.failures]
        if report.slowest_recovery_seconds >= plan.recovery_seconds:
            report.problems.append(
                f"a recovery took {report.slowest_recovery_seconds:.1f} s, and may take"
                f" {plan.recovery_seconds:.0f}"
            )

    def _come_to_rest(self, report: Report) -> None:
        """End the load, let everything be consumed, and stop the workers in order."""
        self.feeder.finish()
        places = set()
        try:
            for agent in self.settings.agents_of(self.pipeline):
                names = {topic: full_name(self.prefix, topic) for topic in sorted(agent.reads)}
                places |= {
                    (agent.name, shown_name(self.prefix, topic), str(partition))
                    for topic, name in names.items()
                    for partition in range(width(name))
                }
                wait_consumed(
                    self._broker.bootstrap,
                    self.prefix + agent.name,
                    [*names.values()],
                    _CONSUMED_SECONDS,
                    self.fleet.look,
                )
            self.fleet.wait_at_rest(places, _CONSUMED_SECONDS)
        except TimeoutError as error:
            report.problems.append(str(error))
        self.fleet.stop_all(self.fleet.workers)

    def _check(self, report: Report) -> None:
        self.pipeline = self.settings.load_pipeline()  # of all versions, the last loaded
        saved = self.millrace("state", "--json")
        if saved.returncode != 0:
            report.problems.append(f"millrace state: {saved.stderr}")
        state: dict[str, Any] = json.loads(saved.stdout or '{"candidates": []}')
        checker = Checker(self.pipeline, self.settings, self.feeder.ledger, state)
        report.findings = checker.run()
        self._reproduce(report)

    def _reproduce(self, report: Report) -> None:
        """Make the prediction of one of the last events again, by the command."""
        event_id = self.feeder.ledger.good_events[-10]
        again = self.millrace("reproduce", event_id)
        wrong = [] if again.returncode == 0 else [again.stdout + again.stderr]
        report.findings.add("millrace reproduce", wrong)

    def _outlive_expiry(self, watch: Watch, report: Report) -> None:
        """Let retention remove every record; a worker then goes on where it was."""
        own = [self.prefix + each for each in RETAINED]
        expire(self._broker.bootstrap, [*own, *self.settings.topics.values()])
        worker = self.fleet.start()
        self.fleet.wait_ready(worker)
        before, more = watch.seen, 20
        self.feeder.send_more(more)
        deadline = time.monotonic() + _CONSUMED_SECONDS
        while watch.seen < before + more and time.monotonic() < deadline:
            self.fleet.look()
            time.sleep(0.1)
        if watch.seen != before + more:
            report.problems.append(
                f"after everything had expired, {watch.seen - before} of {more} were predicted"
            )
        self.fleet.stop(worker)

    def _say(self, what: str) -> None:
        self._tell(f"{time.monotonic() - self._started:6.0f} s {what}")

    def millrace(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Millrace's on the pipeline."""
        return subprocess.run(
            [sys.executable, "-m", "millrace.streams.cli", *arguments],
            env={**os.environ, **self.environment()},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
