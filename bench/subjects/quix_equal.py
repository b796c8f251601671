"""Quix Streams doing the work of Millrace's `full`, with its state store.

State belongs to a message's key, and the model to all events: their keys are read as one, which
spares a topic and a hop (`group_by`). To write the whole state for every event would take longer
than the work, so it is written every few seconds; what was learned since then is lost with a
restart. At least once, with Quix's defaults.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

from quixstreams import Application, State
from quixstreams.models import Deserializer, Serializer

from bench.equal.topics import WRITTEN
from bench.equal.work import EqualWork, Output
from bench.job import Job

_SAVE_SECONDS = 5.0


class OneKey(Deserializer):  # type: ignore[misc]  # it is installed where it runs
    def __call__(self, value: bytes, ctx: object) -> str:  # noqa: ARG002
        return "model"


class OutputValue(Serializer):  # type: ignore[misc]  # it is installed where it runs
    def __call__(self, value: Output, ctx: object) -> bytes:  # noqa: ARG002
        return value.value


def worker(job: Job) -> Callable[..., list[Output]]:
    """Return a function that handles events with one state, and saves it when it is due."""
    work: EqualWork | None = None
    saved_at = time.monotonic()

    def handle(value: bytes, _key: str, time_ms: int, _headers: Any, state: State) -> list[Output]:
        nonlocal work, saved_at
        if work is None:
            saved = state.get_bytes("work")
            work = EqualWork(job) if saved is None else pickle.loads(saved)
        made = work.handle(value, time_ms)
        if time.monotonic() - saved_at > _SAVE_SECONDS:
            state.set_bytes("work", pickle.dumps(work))
            saved_at = time.monotonic()
        return made

    return handle


job = Job.from_environment()
app = Application(
    broker_address=job.bootstrap,
    consumer_group=f"{job.name}.quix",
    auto_offset_reset="earliest",
    loglevel="WARNING",
)
events = app.topic(job.input_topic, key_deserializer=OneKey(), value_deserializer="bytes")
topics = {
    each: app.topic(f"{job.name}.{each}", value_serializer=OutputValue())
    for each in ("predictions", *WRITTEN)
}
made = app.dataframe(events).apply(worker(job), expand=True, stateful=True, metadata=True)
made.to_topic(lambda output, *_: topics[output.topic], key=lambda output: output.key)
app.run()
