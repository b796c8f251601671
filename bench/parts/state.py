"""Millrace with keyed state of many sizes: a window of values for every key.

First every key has one event, which makes its window. Then the clock starts, and keys come in a
seeded random order. `restore` instead stops the worker and starts another, which has to read the
state back before it can go on.
"""

from __future__ import annotations

import time
from functools import partial
from random import Random

from bench import measure
from bench.contestants import Contestant, Workers, millrace
from bench.job import Job
from bench.session import MODELS, Result, Session, Step
from bench.watch import Outputs
from millrace.streams.settings import Guarantee

_MODEL = MODELS[0]
_MEASURED_EVENTS = 20_000
_SLOWEST_PER_SECOND = 500
_SEED = 7

_start = millrace("full", Guarantee.AT_LEAST_ONCE)


def key_steps(session: Session) -> list[Step]:
    """Throughput with each number of keys."""
    return [
        Step(
            {"contestant": "full", "model": _MODEL, "keys": keys, "round": number},
            partial(_throughput, session, keys),
        )
        for number in range(session.choice.rounds)
        for keys in session.choice.keys
    ]


def restore_steps(session: Session) -> list[Step]:
    """The time to start again with each number of keys, once."""
    return [
        Step(
            {"contestant": "full", "model": _MODEL, "keys": keys},
            partial(_restore, session, keys),
        )
        for keys in session.choice.keys
    ]


def _throughput(session: Session, keys: int) -> Result:
    random = Random(_SEED)
    names = [*map(str, range(keys))]
    names += [str(random.randrange(keys)) for _ in range(_MEASURED_EVENTS)]
    measured = measure.throughput(
        Contestant("full", "", _start),
        _job(session, len(names)),
        session.broker,
        session.keyed_records(names, 1),
        limit_seconds=session.choice.limit_seconds,
        warm_up=keys,
        ready_seconds=_patience(keys),
    )
    return measured.as_result()


def _restore(session: Session, keys: int) -> Result:
    broker, job = session.broker, _job(session, keys)
    broker.create([job.input_topic, job.output_topic])
    try:
        with (
            Outputs(broker.bootstrap, job.output_topic) as outputs,
            _start(job, broker) as running,
        ):
            broker.fill(job.input_topic, session.keyed_records([*map(str, range(keys))], 1))
            measure.wait(outputs, running, lambda: outputs.count >= keys, _patience(keys))
        began = time.monotonic()
        with _start(job, broker) as running:
            return _seen_of_start(running, began, keys)
    finally:
        broker.delete(f"{job.name}.")


def _seen_of_start(running: Workers, began: float, keys: int) -> Result:
    running.wait_ready(_patience(keys))
    ready_seconds = time.monotonic() - began
    (worker,) = running.each
    samples = worker.metrics()
    return {
        "ready_seconds": ready_seconds,
        "restore_seconds": samples.total("millrace_restore_seconds"),
    }


def _job(session: Session, events: int) -> Job:
    return session.job(_MODEL, events, keyed=True, windows=True)


def _patience(keys: int) -> float:
    return measure.READY_SECONDS + keys / _SLOWEST_PER_SECOND
