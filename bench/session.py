"""What the parts of a benchmark share: the broker, the stream, the choices, and a list of steps."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import data
from bench.broker import EMBEDDED_EVENTS, Broker, Record
from bench.contestants import CONTESTANTS, Contestant
from bench.job import Job
from millrace.streams.operators.routing import partition_of

MODELS = ("logistic_regression", "hoeffding_tree", "adaptive_random_forest")
_EVENTS = {"logistic_regression": 90_000, "hoeffding_tree": 60_000, "adaptive_random_forest": 4_000}
"""So many that the bare loop takes a second or more, and Millrace some seconds."""

Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen on the command line, or by default.

    Parameters
    ----------
    rounds
        How often everything is measured, one contestant after another in each.
    models, contestants
        Names; none for a part's own.
    events
        In a run; None for as many as suit the model.
    limit_seconds
        After which a run is cut short, and counts with what there is.
    load_seconds
        How long a load lasts over which latency is measured.
    shares
        Such loads, as shares of the most that a contestant takes.
    keys
        Sizes of the keyed state.
    """

    rounds: int = 3
    models: tuple[str, ...] = ()
    contestants: tuple[str, ...] = ()
    events: int | None = None
    limit_seconds: float = 30.0
    load_seconds: float = 6.0
    shares: tuple[float, ...] = (0.25, 0.5, 0.75)
    keys: tuple[int, ...] = (1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Step:
    """One thing to measure.

    Attributes
    ----------
    about
        What it is: contestant, model, round and so on; part of the result.
    run
        Measures it and returns the rest of the result.
    """

    about: Result
    run: Callable[[], Result]


@dataclass(frozen=True)
class Session:
    """One call of the benchmark."""

    broker: Broker
    choice: Choice
    stream: data.Stream = field(default_factory=data.load)

    def models(self, default: tuple[str, ...]) -> tuple[str, ...]:
        return self.choice.models or default

    def contestants(self, default: tuple[str, ...]) -> list[Contestant]:
        """Return those chosen, or a part's own, that can run on the broker."""
        chosen = [CONTESTANTS[name] for name in self.choice.contestants or default]
        return [each for each in chosen if self.broker.is_real or not each.needs_transactions]

    def events(self, model: str) -> int:
        """Return how many events a run has."""
        count = self.choice.events or _EVENTS[model]
        return count if self.broker.is_real else min(count, EMBEDDED_EVENTS)

    def job(self, model: str, events: int, *, keyed: bool = False, windows: bool = False) -> Job:
        """Return a job under a name of its own."""
        features = self.stream.features
        return Job(
            name=f"bench-{uuid.uuid4().hex[:8]}",
            model=model,
            events=events,
            schema=data.schema(features, keyed=keyed),
            features=features,
            bootstrap=self.broker.bootstrap,
            keyed=keyed,
            windows=windows,
        )

    def records(self, count: int) -> list[Record]:
        """Return events without keys, for one partition."""
        values = data.encode(self.stream, count)
        return [(str(number).encode(), value, 0) for number, value in enumerate(values)]

    def keyed_records(self, keys: list[str], partitions: int) -> list[Record]:
        """Return one event for each key, on the partition where Millrace keeps that key."""
        values = data.encode_keyed(self.stream, keys)
        return [
            (key.encode(), value, partition_of(key, partitions))
            for key, value in zip(keys, values, strict=True)
        ]
