"""A replay from end to end: in memory, or through a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice

from millrace.models.pipeline.definition import Pipeline
from millrace.models.selection.served import as_served
from millrace.schemas.records import Evaluation
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.kafka.registry import read_outputs
from millrace.streams.operators.record import EvaluationRecord, PredictionRecord, RejectRecord
from millrace.streams.replay.encoding import Encoder, in_order
from millrace.streams.replay.feed import Feed
from millrace.streams.replay.in_memory import InMemory
from millrace.streams.replay.report import IN_MEMORY, Report, make_report
from millrace.streams.replay.source import Source
from millrace.streams.replay.watch import Watch
from millrace.streams.replay.window import Window, growth
from millrace.streams.replay.written import evaluations, first_rejects
from millrace.streams.settings import EMBEDDED, Settings
from millrace.streams.topology.topics import topic_prefix
from millrace.streams.worker.subprocess import WorkerProcess

_SAMPLE = 200
_PREPARED = 100_000
_STRIDE = 200
_LONGEST_STEM = 120  # the rest of a name is the time of the replay


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How rows become a stream.

    Parameters
    ----------
    label_delay
        Events between an event and its label; 0 for the label inside the event.
    rate
        Records per second; None for as fast as the worker processes them.
    """

    label_delay: int = 0
    rate: float | None = None


def replay_in_memory(
    source: Source,
    pipeline: Pipeline,
    label_delay: int,
    *,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Report:
    """Stream a table through the pipeline in this process, and return the report.

    Parameters
    ----------
    source
        The rows.
    pipeline
        What to run.
    label_delay
        Events between an event and its label; 0 for the label inside the event.
    on_progress
        Called with the number of events predicted.
    """
    started = time.perf_counter()
    memory = InMemory(pipeline, 1, time.time_ns() // 1_000_000)
    rows = source.events(pipeline.event_id, pipeline.event_schema)
    made = memory.fold(in_order(rows, Encoder(pipeline, 1), label_delay))
    predicted, details, blocks = 0, dict[str, str](), list[Evaluation]()
    for record in made:
        if isinstance(record, RejectRecord):
            details.setdefault(record.value["reason"], record.value["detail"])
        elif isinstance(record, EvaluationRecord):
            blocks.append(record.value)
        elif isinstance(record, PredictionRecord):
            predicted += 1
            if predicted % _STRIDE == 0:
                on_progress(predicted)
    return make_report(
        pipeline,
        memory.samples(),
        ran=IN_MEMORY,
        events=len(source.frame),
        seconds=time.perf_counter() - started,
        first_rejects=details,
        served=as_served(blocks),
    )


def replay_through_worker(
    source: Source,
    pipeline: Pipeline,
    settings: Settings,
    pace: Pace,
    *,
    on_ready: Callable[[], object] = lambda: None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Report:
    """Stream a table through a worker in a process of its own, and return the report.

    Parameters
    ----------
    source
        The rows.
    pipeline, settings
        What to run; `settings.pipeline` is the spec that `pipeline` was loaded from. With the
        broker `embedded`, a broker is started here. On any other one, `settings.pipeline_name`
        should be new, so that the topics of several runs do not mix.
    pace
        How rows become a stream.
    on_ready
        Called once the worker is ready and before the first event.
    on_progress
        Called with the number of events done.

    Raises
    ------
    MillraceError
        The worker ended or failed, or makes no progress.
    """
    with ExitStack() as stack:
        if settings.broker == EMBEDDED:
            broker = stack.enter_context(EmbeddedBroker())
            settings = settings.model_copy(update={"broker": broker.address})
        clients = KafkaClients(settings)
        topic = f"{topic_prefix(pipeline)}events"
        partitions = prepare_topics(clients, pipeline, settings)[topic]
        worker = stack.enter_context(WorkerProcess(settings))
        encoder = Encoder(pipeline, partitions)
        window = _window(source, pipeline, settings, encoder)
        records = in_order(
            source.events(pipeline.event_id, pipeline.event_schema), encoder, pace.label_delay
        )
        watch = Watch(worker, pipeline, settings)
        feed = Feed(clients, topic, window, watch, rate=pace.rate, on_progress=on_progress)
        prepared = [*islice(records, _PREPARED)]  # now, while the worker starts
        worker.wait_ready()
        on_ready()
        feed.run(chain(prepared, records))
        outputs = read_outputs(settings)
        return make_report(
            pipeline,
            watch.samples,
            ran=settings.chain,
            events=feed.events,
            seconds=feed.seconds,
            first_rejects=first_rejects(clients, pipeline, watch.samples, outputs),
            served=as_served(evaluations(clients, pipeline, outputs)),
        )


def own_name(pipeline: Pipeline, now: datetime | None = None) -> str:
    """Return a new name for a pipeline, so that the topics of several runs do not mix.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import pipeline
    >>> own_name(pipeline, datetime(2025, 3, 3, 9, 30, tzinfo=UTC))
    'loans-replay-20250303t093000'
    """
    return f"{pipeline.name[:_LONGEST_STEM]}-replay-{now or datetime.now(UTC):%Y%m%dt%H%M%S}"


def _window(source: Source, pipeline: Pipeline, settings: Settings, encoder: Encoder) -> Window:
    rows = islice(source.events(pipeline.event_id, pipeline.event_schema), _SAMPLE)
    events = [*map(encoder.event, rows)]
    now_ms = time.time_ns() // 1_000_000
    return Window(growth(pipeline, events, now_ms=now_ms, outputs=settings.outputs))
