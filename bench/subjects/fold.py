"""Where an event's time goes inside Millrace: the chain `full` in memory, with no Kafka at all.

It writes to standard output the seconds that all events have spent with each operator, and on the
way to bytes. What learning takes is within prediction, which calls it.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from bench import data
from bench.job import Job
from bench.pipeline import pipeline
from millrace.models.candidates.model_set import ModelSet
from millrace.streams.operators.record import Origin
from millrace.streams.topology.chain import parse_chain
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.topics import TopicCodec
from millrace.streams.worker.run import tune_interpreter

_SLICE_RECORDS = 200


def main() -> None:
    job = Job.from_environment()
    now_ms = time.time_ns() // 1_000_000
    values = data.encode(data.load(), job.events)
    origins = [
        Origin("events", 0, offset, now_ms, b"", value) for offset, value in enumerate(values)
    ]
    (full,) = parse_chain("full")
    task = TaskFactory(
        pipeline=pipeline,
        agent=full,
        clean_partitions=1,
        max_event_bytes=1 << 20,
        written_schema=lambda _: None,
        load_models=_no_models,
        clock_ms=lambda: now_ms,
    ).make()
    codec = TopicCodec(pipeline)
    seconds: dict[str, float] = defaultdict(float)
    for operator in task.operators:
        operator.run = _timed(operator.name, operator.run, seconds)  # type: ignore[method-assign,assignment]
    encode = _timed("to bytes", lambda made: [codec.encode(each) for each in made], seconds)
    tune_interpreter()
    started = time.perf_counter()
    for begin in range(0, len(origins), _SLICE_RECORDS):
        encode(task.run([codec.decode(each) for each in origins[begin : begin + _SLICE_RECORDS]]))
    total = time.perf_counter() - started
    seconds["between"] = total - sum(seconds.values())
    json.dump({"events": len(origins), "seconds": total, "stages": seconds}, sys.stdout)


def _timed(
    name: str, call: Callable[[Any], Any], seconds: dict[str, float]
) -> Callable[[Any], Any]:
    def timed(given: Any) -> Any:
        started = time.perf_counter()
        made = call(given)
        seconds[name] += time.perf_counter() - started
        return made

    return timed


def _no_models(_payload: bytes) -> ModelSet:
    raise AssertionError("in one agent, models come from nowhere else")


if __name__ == "__main__":
    main()
