"""Millrace with more workers, and over more partitions: one model for each partition."""

from __future__ import annotations

import time

from bench import data, measure
from bench.contestants import Contestant, Running, Workers, millrace
from bench.job import Job
from bench.session import MODELS, Result, Session, Step
from millrace.streams.settings import Guarantee
from millrace.streams.topology.chain import parse_chain

WORKERS = (1, 2)
PARTITIONS = (1, 4, 16, 64)
_PARTITIONS_OF_WORKERS = 8
_BALANCE_SECONDS = 60.0
_LOOK_SECONDS = 0.2


def worker_steps(session: Session) -> list[Step]:
    """The same stream, shared by one worker and by two."""
    return [
        _step(session, model, number, workers, _PARTITIONS_OF_WORKERS)
        for number in range(session.choice.rounds)
        for model in session.models(MODELS[:2])
        for workers in WORKERS
    ]


def partition_steps(session: Session) -> list[Step]:
    """The same stream, spread over more and more partitions, with one worker."""
    return [
        _step(session, model, number, 1, partitions)
        for number in range(session.choice.rounds)
        for model in session.models(MODELS[:1])
        for partitions in PARTITIONS
    ]


def _step(session: Session, model: str, number: int, workers: int, partitions: int) -> Step:
    about = {"model": model, "round": number, "workers": workers, "partitions": partitions}
    return Step({"contestant": "full", **about}, lambda: _run(session, model, workers, partitions))


def _run(session: Session, model: str, workers: int, partitions: int) -> Result:
    events = session.events(model)
    keys = data.balanced_keys(partitions)
    keys = [keys[number % len(keys)] for number in range(events)]
    start = millrace("full", Guarantee.AT_LEAST_ONCE, workers=workers, partitions=partitions)
    job = session.job(model, events, keyed=True)
    measured = measure.throughput(
        Contestant("full", "", start),
        job,
        session.broker,
        session.keyed_records(keys, partitions),
        limit_seconds=session.choice.limit_seconds,
        warm_up=min(measure.WARM_UP, events // 2),
        partitions=partitions,
        when_ready=lambda running: _wait_balanced(session, job, running, workers),
    )
    return measured.as_result()


def _wait_balanced(session: Session, job: Job, running: Running, workers: int) -> None:
    """Wait until every worker has partitions."""
    assert isinstance(running, Workers)
    running.wait_ready(measure.READY_SECONDS)
    (agent,) = parse_chain("full")
    deadline = time.monotonic() + _BALANCE_SECONDS
    while session.broker.members(f"{job.name}.{agent.name}") < workers:
        running.check_alive()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{workers} workers did not share the partitions")
        time.sleep(_LOOK_SECONDS)
