"""A pipeline in memory: the fold of a worker, in this process, without a broker.

For notebooks, for tests of a pipeline, and for `millrace replay`. Rows become the records that a
producer would send; the operators of the chain `full` fold them, in slices as the engine does; and
what a worker would write to topics is returned. One partition's results equal a worker's, and
River's `progressive_val_score`, to the last bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, cast

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SettingsError
from millrace.schemas.records import Alert, Outcome, Prediction, Reject
from millrace.streams.observability.metrics import Metrics
from millrace.streams.observability.scraping import Samples
from millrace.streams.operators.record import (
    AlertRecord,
    Origin,
    OutcomeRecord,
    PredictionRecord,
    RawRecord,
    Record,
    RejectRecord,
)
from millrace.streams.operators.registry import OPERATORS
from millrace.streams.operators.slice import Slice
from millrace.streams.replay.encoding import Encoder, Outgoing, Row, in_order
from millrace.streams.replay.report import combined_metrics
from millrace.streams.settings import Settings
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task

if TYPE_CHECKING:
    import pandas as pd

_AGENT = AgentSpec(OPERATORS)
_SLICE_RECORDS = 200


class InMemory:
    """The tasks of a pipeline, one for each partition, with their metrics.

    Parameters
    ----------
    pipeline
        The definition.
    partitions
        Of the inputs.
    now_ms
        The time at which all records are produced: milliseconds since the Unix epoch.

    Attributes
    ----------
    metrics
        What a worker's `/metrics` would show, but for latency, which means nothing here.
    """

    def __init__(self, pipeline: Pipeline, partitions: int, now_ms: int) -> None:
        factory = TaskFactory(
            pipeline=pipeline,
            agent=_AGENT,
            clean_partitions=partitions,
            max_event_bytes=Settings.model_fields["max_event_bytes"].default,
            written_schema=lambda _: None,
            load_models=_refuse,
            clock_ms=lambda: now_ms,
        )
        self.metrics = Metrics(pipeline.name)
        self._now_ms = now_ms
        self._parts = [_Partition(number, factory.make()) for number in range(partitions)]
        for part in self._parts:
            self.metrics.watch(_AGENT.name, part.number, part.task)

    def fold(self, produced: Iterable[Outgoing]) -> Iterator[Record]:
        """Fold what was produced, and yield what a worker would write, partition by partition."""
        for outgoing in produced:
            part = self._parts[outgoing.partition]
            part.add(outgoing, self._now_ms)
            if len(part.waiting) == _SLICE_RECORDS:
                yield from self._fold_slice(part)
        for part in self._parts:
            yield from self._fold_slice(part)

    def samples(self) -> Samples:
        """Return what `/metrics` would show now."""
        return Samples.parse(self.metrics.render().decode())

    def _fold_slice(self, part: _Partition) -> list[Record]:
        made = part.task.run(Slice(part.waiting))
        part.waiting = []
        self.metrics.count(part.task.take_tally())
        self.metrics.count_published(made, self._now_ms)
        return made


@dataclass
class _Partition:
    number: int
    task: Task
    waiting: list[Record] = field(default_factory=list)
    next_offset: int = 0

    def add(self, outgoing: Outgoing, now_ms: int) -> None:
        place = ("events", self.number, self.next_offset, now_ms)
        self.waiting.append(RawRecord.of(Origin(*place, outgoing.key, outgoing.value)))
        self.next_offset += 1


@dataclass(frozen=True)
class Result:
    """What a pipeline made of rows: the records of its output topics, in order, as dictionaries.

    Attributes
    ----------
    predictions, alerts, rejects, outcomes
        As the topics of these names would hold them.
    metrics
        Candidate or baseline to metric to value, over all examples (prequential).

    Examples
    --------
    >>> from millrace.models.pipelines.loans import applications, pipeline
    >>> result = run(pipeline, applications(200))
    >>> len(result.predictions), result.rejects
    (200, [])
    >>> result.frame("outcomes")[["event_id", "fate", "label"]].head(1).values.tolist()
    [['0', 'joined', False]]
    """

    predictions: list[Prediction] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    metrics: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def frame(self, name: str) -> pd.DataFrame:
        """Return one of the lists as a table, or `metrics` with a row for each candidate.

        Raises
        ------
        SettingsError
            There is no such list.
        """
        import pandas as pd  # noqa: PLC0415 - half a second that a run without tables need not pay

        names = [*vars(self)]
        if name not in names:
            raise SettingsError(f"frame must be one of {', '.join(names)}; got {name!r}")
        if name == "metrics":
            return pd.DataFrame.from_dict(self.metrics, orient="index")
        return pd.DataFrame(getattr(self, name))

    def _add(self, record: Record) -> None:
        if isinstance(record, PredictionRecord):
            self.predictions.append(record.value)
        elif isinstance(record, OutcomeRecord):
            self.outcomes.append(record.value)
        elif isinstance(record, AlertRecord):
            self.alerts.append(record.value)
        elif isinstance(record, RejectRecord):
            self.rejects.append(record.value)


def run(
    pipeline: Pipeline,
    rows: Iterable[Row] | pd.DataFrame,
    *,
    partitions: int = 1,
    label_delay: int = 0,
    clock: Callable[[], float] = time.time,
) -> Result:
    """Run a pipeline on rows, in memory, and return what it made of them.

    Parameters
    ----------
    pipeline
        The definition.
    rows
        Events with their labels: dictionaries, or a table. Rows without the pipeline's event id
        get the number of the row as their id, from 0.
    partitions
        Of the inputs: with the scopes `partition` and `key`, each has its own models.
    label_delay
        Events between an event and its label; 0 for the label inside the event.
    clock
        Seconds since the Unix epoch, read once: all rows are produced at that time, which is
        their event time where the pipeline has no other.

    Raises
    ------
    SettingsError
        `partitions` or `label_delay` is out of range.
    """
    if partitions < 1:
        raise SettingsError(f"partitions must be at least 1; got {partitions!r}")
    if label_delay < 0:
        raise SettingsError(f"label_delay must be 0 or more events; got {label_delay!r}")
    memory = InMemory(pipeline, partitions, int(clock() * 1000))
    result = Result()
    produced = in_order(with_ids(rows, pipeline), Encoder(pipeline, partitions), label_delay)
    for record in memory.fold(produced):
        result._add(record)
    result.metrics.update(combined_metrics(memory.samples()))
    return result


def with_ids(rows: Iterable[Row] | pd.DataFrame, pipeline: Pipeline) -> Iterator[Row]:
    """Return rows as dictionaries, with the pipeline's event id where none of them has one."""
    name = pipeline.event_id
    if hasattr(rows, "columns"):
        from millrace.models.pipeline.tables import records  # noqa: PLC0415 - imports pandas

        yield from records(cast("pd.DataFrame", rows), name)
        return
    each = iter(rows)
    first = next(each, None)
    if first is None:
        return
    if name in first:
        yield first
        yield from each
        return
    for number, row in enumerate(chain([first], each)):
        yield {name: str(number), **row}


def _refuse(_payload: bytes) -> ModelSet:
    raise SettingsError("a pipeline in memory has no topic of models to read")
