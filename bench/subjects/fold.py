"""Where an event's time goes inside Millrace: the chain `full` in memory, without Kafka.

It prints the CPU seconds that the events spent in each operator and in encoding, the longest that a
slice took, and the peak of memory; learning is part of prediction, which calls it. No other module
of the benchmark imports what is inside Millrace.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import pairwise

from bench import data
from bench.job import Job
from bench.pipeline import pipeline
from bench.process import peak_rss_bytes
from millrace.models.candidates.model_set import ModelSet
from millrace.streams.operators.columns import Made
from millrace.streams.operators.record import Origin
from millrace.streams.operators.slice import Slice
from millrace.streams.runtime.batches import batches
from millrace.streams.topology.chain import parse_chain
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.worker.fold import tune_interpreter

_SLICE_RECORDS = 200


def main() -> None:
    job, now_ms = Job.from_environment(), time.time_ns() // 1_000_000
    origins = [
        Origin("events", 0, offset, now_ms, each.key, each.value)
        for offset, each in enumerate(data.records(job))
    ]
    (agent,) = parse_chain("full")
    task = TaskFactory(
        pipeline=pipeline,
        agent=agent,
        clean_partitions=1,
        max_event_bytes=1 << 20,
        load_models=_load_models,
        clock_ms=lambda: now_ms,
    ).make()
    codec, stages = TopicCodec(pipeline), defaultdict[str, float](float)
    for operator in task.operators:
        operator.fold = _timed(operator.fold, operator.name, stages)  # type: ignore[method-assign,assignment]
    tune_interpreter()
    marks = [time.process_time()]
    for begin in range(0, len(origins), _SLICE_RECORDS):
        slice_ = origins[begin : begin + _SLICE_RECORDS]
        records, _ = codec.decode_all(slice_)
        made = task.fold(Slice(records))
        folded = time.process_time()
        for batch in batches(made):
            codec.encode_all(batch)
        marks.append(time.process_time())
        stages["encoding"] += marks[-1] - folded
    cpu_seconds = marks[-1] - marks[0]
    stages["between"] = cpu_seconds - sum(stages.values())
    found = {
        "cpu_seconds": cpu_seconds,
        "cpu_seconds_per_million": cpu_seconds / job.events * 1e6,
        "peak_rss_bytes": peak_rss_bytes(),
        "longest_pause_seconds": max(later - earlier for earlier, later in pairwise(marks)),
        "stages": stages,
    }
    json.dump(found, sys.stdout)


def _timed(
    fold: Callable[[Slice], list[Made]], stage: str, stages: dict[str, float]
) -> Callable[[Slice], list[Made]]:
    def timed(slice_: Slice) -> list[Made]:
        started = time.process_time()
        made = fold(slice_)
        stages[stage] += time.process_time() - started
        return made

    return timed


def _load_models(_record: object) -> Mapping[str, ModelSet]:
    raise AssertionError("an agent that trains its models loads none")


if __name__ == "__main__":
    main()
