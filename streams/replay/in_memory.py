"""A pipeline in memory: the fold of a worker, in this process, without a broker.

For notebooks, for tests of a pipeline, and for `millrace replay`. Rows become the records that a
producer would send; the operators of the chain `full` fold them, in slices as the engine does; and
what a worker would write to topics is returned. On one partition the results equal a worker's, and
River's `progressive_val_score`, to the last bit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, cast

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import id_field, is_at_the_top
from millrace.models.selection.served import Served, as_served
from millrace.models.user_code import shown
from millrace.schemas import SettingsError, shipped
from millrace.schemas.records import Alert, Audit, Evaluation, Outcome, Prediction, Reject
from millrace.streams.observability.metrics import Metrics
from millrace.streams.observability.published import Published
from millrace.streams.observability.scraping import Samples
from millrace.streams.operators.columns import as_records
from millrace.streams.operators.context import CommandTopic
from millrace.streams.operators.control import ControlOperator
from millrace.streams.operators.record import (
    AcceptedRecord,
    AlertRecord,
    AuditRecord,
    CommandRecord,
    EvaluationRecord,
    Origin,
    OutcomeRecord,
    PredictionRecord,
    RawRecord,
    Record,
    RejectRecord,
)
from millrace.streams.operators.registry import OPERATORS
from millrace.streams.operators.selection import SelectionOperator
from millrace.streams.operators.slice import Slice
from millrace.streams.replay.encoding import Encoder, Outgoing, Row, in_order
from millrace.streams.replay.report import combined_metrics
from millrace.streams.settings import Settings
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import topic_prefix

if TYPE_CHECKING:
    import pandas as pd

_AGENT = AgentSpec(OPERATORS)
_SLICE_RECORDS = 200
_MOST_PARTITIONS = 10_000
_LONGEST_DELAY = 10**9


class InMemory:
    """The tasks of a pipeline, one for each partition, with their metrics.

    Parameters
    ----------
    pipeline
        The definition.
    partitions
        Of the inputs.
    now_ms
        When all records are produced: milliseconds since the Unix epoch.

    Attributes
    ----------
    metrics
        What a worker's `/metrics` would show, without the latency, which means nothing here.
    """

    def __init__(self, pipeline: Pipeline, partitions: int, now_ms: int) -> None:
        factory = TaskFactory(
            pipeline=pipeline,
            agent=_AGENT,
            clean_partitions=partitions,
            max_event_bytes=Settings.model_fields["max_event_bytes"].default,
            clock_ms=lambda: now_ms,
        )
        self.metrics = Metrics(pipeline.name)
        self._now_ms = now_ms
        events = f"{topic_prefix(pipeline)}events"
        self._selection = SelectionOperator(pipeline)
        self._control = ControlOperator(pipeline, CommandTopic("control", partitions))
        self._offsets = Counter[str]()
        self._parts = [_Partition(number, events, factory.make()) for number in range(partitions)]
        for part in self._parts:
            self.metrics.watch(_AGENT.name, part.number, part.task)

    def fold(self, produced: Iterable[Outgoing]) -> Iterator[Record]:
        """Fold what was produced, and yield what a worker would write."""
        for outgoing in produced:
            part = self._parts[outgoing.partition]
            part.add(outgoing, self._now_ms)
            if len(part.waiting) >= _SLICE_RECORDS:
                yield from self._fold_slice(part)
        while any(part.waiting for part in self._parts):
            for part in self._parts:
                yield from self._fold_slice(part)

    def samples(self) -> Samples:
        """Return what `/metrics` would show now."""
        return Samples.parse(self.metrics.render().decode())

    def _fold_slice(self, part: _Partition) -> list[Record]:
        made = part.task.fold(Slice(part.waiting))
        part.waiting = []
        self.metrics.count(part.task.take_tally())
        records = as_records(made)
        decided = [*self._decided(records)]
        self.metrics.count_published(Published([*made, *decided]), self._now_ms)
        return records + decided

    def _decided(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield what is decided by blocks of events, and let each partition do it next."""
        for record in records:
            if isinstance(record, EvaluationRecord):
                block = EvaluationRecord(record.value, self._next_origin("evaluations"))
                for made in self._selection.run(Slice([block])):
                    yield from self._commanded(made) if isinstance(made, CommandRecord) else [made]

    def _commanded(self, command: CommandRecord) -> Iterator[Record]:
        value = shipped("command").encode(command.value)
        asked = RawRecord.of(self._next_origin("commands", value))
        for made in self._control.run(Slice([asked])):
            if isinstance(made, AcceptedRecord):
                part = self._parts[made.partition or 0]
                origin = made.origin._replace(topic=made.topic, partition=part.number)
                part.waiting.append(AcceptedRecord(made.value, origin, made.topic))
            else:
                yield made

    def _next_origin(self, topic: str, value: bytes | None = None) -> Origin:
        """Return the place of the next record of a topic that all partitions share."""
        self._offsets[topic] += 1
        return Origin(topic, 0, self._offsets[topic] - 1, self._now_ms, None, value)


@dataclass
class _Partition:
    number: int
    full_topic: str
    task: Task
    waiting: list[Record] = field(default_factory=list)
    next_offset: int = 0

    def add(self, outgoing: Outgoing, now_ms: int) -> None:
        place = ("events", self.number, self.next_offset, now_ms)
        origin = Origin(*place, outgoing.key, outgoing.value, full_topic=self.full_topic)
        self.waiting.append(RawRecord.of(origin))
        self.next_offset += 1


@dataclass(frozen=True, repr=False)
class Result:
    """What a pipeline made of rows: the records of its output topics, in order, as dictionaries.

    Attributes
    ----------
    predictions, alerts, rejects, outcomes, evaluations, audit
        As the topics of these names would hold them.
    metrics
        Candidate or baseline to metric to value, over all examples (prequential). Empty for a
        candidate without an example, None for a value that is not finite.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import applications, pipeline
    >>> result = run(pipeline, applications(200))
    >>> result
    Result(predictions: 200, alerts: 0, rejects: 0, outcomes: 200, evaluations: 2, audit: 0)
    >>> result.frame("outcomes")[["event_id", "fate", "label"]].head(1).values.tolist()
    [['0', 'joined', False]]
    """

    predictions: list[Prediction] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    audit: list[Audit] = field(default_factory=list)
    metrics: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def __repr__(self) -> str:
        lists = ("predictions", "alerts", "rejects", "outcomes", "evaluations", "audit")
        return f"Result({', '.join(f'{name}: {len(getattr(self, name))}' for name in lists)})"

    @property
    def served(self) -> Served:
        """The loss as served, beside each candidate's alone: what promotion gained."""
        return as_served(self.evaluations)

    def frame(self, name: str) -> pd.DataFrame:
        """Return one of the lists as a table, or `metrics` with a row for each candidate.

        Raises
        ------
        SettingsError
            There is no such list.
        """
        import pandas as pd  # noqa: PLC0415 - takes half a second, which not every run needs

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
        elif isinstance(record, EvaluationRecord):
            self.evaluations.append(record.value)
        elif isinstance(record, AuditRecord):
            self.audit.append(record.value)
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
        Events with their labels: dictionaries, or a table. Characters that a field's name cannot
        have are replaced by `_`. Rows without the pipeline's event id get the number of the row,
        from 0. A missing cell of a table is null.
    partitions
        Of the inputs: with the scopes `partition` and `key`, each has its own models.
    label_delay
        Events between an event and its label; 0 for the label inside the event.
    clock
        Seconds since the Unix epoch, read once: all rows are produced at that time, which is
        their event time unless the pipeline has a field for it.

    Raises
    ------
    SettingsError
        `partitions` or `label_delay` is out of range, a row is not a dictionary, or `pipeline` is
        no `Pipeline`.
    """
    if not isinstance(pipeline, Pipeline):
        must = "pipeline must be a Pipeline, for example load_pipeline('loans.py')"
        raise SettingsError(f"{must}; got {shown(pipeline)}")
    _check_count("partitions", partitions, least=1, most=_MOST_PARTITIONS)
    _check_count("label_delay", label_delay, least=0, most=_LONGEST_DELAY)
    memory = InMemory(pipeline, partitions, int(clock() * 1000))
    result = Result()
    events = with_ids(named(as_rows(rows)), id_field(pipeline.event_id))
    for record in memory.fold(in_order(events, Encoder(pipeline, partitions), label_delay)):
        result._add(record)
    result.metrics.update({name: {} for name in pipeline.models})
    result.metrics.update(combined_metrics(memory.samples()))
    return result


def _check_count(parameter: str, value: object, *, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        must = f"{parameter} must be a whole number of {least} or more"
        raise SettingsError(f"{must}; got {shown(value)}")
    if value > most:
        raise SettingsError(f"{parameter} must be {most:,} or less; got {shown(value)}")


def as_rows(rows: Iterable[Row] | pd.DataFrame) -> Iterable[Row]:
    """Return a table as dictionaries of Python's own values, None where a cell is missing."""
    if not hasattr(rows, "columns"):
        if not isinstance(rows, Iterable):
            raise SettingsError(f"rows must be dictionaries or a table; got {shown(rows)}")
        return rows
    frame = cast("pd.DataFrame", rows)
    if not frame.columns.is_unique:
        raise SettingsError(f"rows must have columns of different names; got {[*frame.columns]}")
    cells = frame.astype(object).where(frame.notna(), None)
    values = cells.itertuples(index=False, name=None)
    return (dict(zip(frame.columns, each, strict=True)) for each in values)


def named(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows under names that Avro can have: those that a table's columns would get."""
    known: dict[tuple[object, ...], Sequence[str]] = {}
    for row in rows:
        if not isinstance(row, Mapping):
            raise SettingsError(f"a row must be a dictionary; got {shown(row)}")
        keys = tuple(row)
        if keys not in known:
            known[keys] = _field_names(keys)
        yield dict(zip(known[keys], row.values(), strict=True))


def _field_names(keys: tuple[object, ...]) -> list[str]:
    names = [*map(str, keys)]
    if all(each.isascii() and each.isidentifier() for each in names):
        return names
    from millrace.models.tables.rows import field_names  # noqa: PLC0415 - imports pandas

    return field_names(names)


def with_ids(rows: Iterable[Row], event_id: str | None) -> Iterator[Row]:
    """Yield rows with their number as the event id, unless the first row has one."""
    if event_id is None or not is_at_the_top(event_id):
        yield from rows
        return
    source = iter(rows)
    for first in source:
        has_ids = event_id in first
        for number, row in enumerate(chain([first], source)):
            yield row if has_ids else {event_id: str(number), **row}
