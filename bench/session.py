"""What the parts of the benchmark share: the broker, the options and the results."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from subprocess import SubprocessError

import click
from confluent_kafka import KafkaException

from bench import data
from bench.broker import Broker
from bench.contestants import BEFORE, CONTESTANTS, EQUAL, MILLRACE, Command, from_checkout
from bench.job import Job
from bench.measure import started
from bench.process import REPOSITORY
from bench.results import Result

# So many that the bare loop takes a second or more, and Millrace a few seconds.
_EVENTS = {"logistic_regression": 90_000, "hoeffding_tree": 60_000, "adaptive_random_forest": 4_000}
MODELS = LOGISTIC, TREE, FOREST = tuple(_EVENTS)
WARM_UP = 500

_NEED_KAFKA = ("-eos", EQUAL)  # ends of the names of those that the embedded broker cannot run
_EMBEDDED_EVENTS = 5_000  # fit into the embedded broker, together with their larger predictions
_FAILURES = (RuntimeError, OSError, EOFError, SubprocessError, KafkaException)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One part's measurements, with the options of the command line."""

    broker: Broker
    results: list[Result] = field(default_factory=list)
    rounds: int
    models: tuple[str, ...]  # none for the part's own
    contestants: tuple[str, ...]  # none for the part's own
    events: int | None
    limit_seconds: float
    load_seconds: float
    shares: tuple[float, ...]
    keys: tuple[int, ...]
    label_delay: int
    baseline_checkout: Path | None
    axes: tuple[str, ...]  # none for all that grow
    largest: int

    def choose(self, names: Sequence[str]) -> list[str]:
        """Return the chosen contestants, by default `names`, that can run on the broker.

        Each one of Millrace is followed by the same of the other checkout, if there is one.
        """
        chosen = self.contestants or names
        if not self.broker.is_real:
            chosen = [each for each in chosen if not each.endswith(_NEED_KAFKA)]
        if self.baseline_checkout is None:
            return [*chosen]
        pairs = ((each, f"{each}{BEFORE}") if each in MILLRACE else (each,) for each in chosen)
        return [*chain.from_iterable(pairs)]

    def command(self, contestant: str) -> Command:
        """Return what starts a contestant."""
        name = contestant.removesuffix(BEFORE)
        if self.baseline_checkout is None or name == contestant:
            return CONTESTANTS[name]
        return from_checkout(self.baseline_checkout, CONTESTANTS[name])

    def job(self, model: str) -> Job:
        """Return a job with a unique name and with as many events as suit the model and broker."""
        job = self.job_in_memory(model)
        events = job.events if self.broker.is_real else min(job.events, _EMBEDDED_EVENTS)
        return replace(job, events=events)

    def job_in_memory(self, model: str) -> Job:
        """Return a job that no broker sets a limit to."""
        return Job(
            name=f"bench-{uuid.uuid4().hex[:8]}",
            model=model,
            events=self.events or _EVENTS[model],
            features=[*data.rows(1)[0][0]],
            bootstrap=self.broker.bootstrap,
            embedded=not self.broker.is_real,
        )

    def throughput(
        self, command: Command, job: Job, keys: Sequence[str] = (), warm_up: int = 0
    ) -> Result:
        """Run a contestant over a job's events, the first `warm_up` before the clock starts."""
        records = data.records(job, keys)
        first, rest = data.split(records, warm_up or min(WARM_UP, data.events_in(records) // 2))
        with self.broker.topics(job), started(self.broker, job, command) as run:
            run.warm_up(first)
            return run.measure(rest, self.limit_seconds)

    def attempt(self, about: Result, measure: Callable[..., Result], *args: object) -> Result:
        """Measure something; keep and return the result, or the error."""
        try:
            found = measure(*args)
        except _FAILURES as error:
            words = str(error).replace(f"{REPOSITORY}/", "")  # results are for everybody
            found = {"error": words or type(error).__name__}
        self.keep({**about, **found})
        return found

    def keep(self, result: Result) -> None:
        """Print a result and add it to the others."""
        short = {name: f"{v:.5g}" if isinstance(v, float) else v for name, v in result.items()}
        click.echo(" ".join(f"{name}={value}" for name, value in short.items()))
        self.results.append(result)
