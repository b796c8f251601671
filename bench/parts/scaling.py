"""Millrace with more workers, more partitions and more state.

`workers` and `partitions` have one model per partition. `keys` and `restore` have one model, and a
rolling window per key, which the first event of the key creates. Then `keys` starts the clock, and
keys come in a seeded random order; `restore` starts another worker, which restores the state.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import cycle, islice, product
from random import Random
from urllib.request import ProxyHandler, build_opener

from bench import data
from bench.contestants import CONTESTANTS, millrace
from bench.job import Job
from bench.measure import ready_seconds, started
from bench.process import Process
from bench.results import Result
from bench.session import LOGISTIC, TREE, Session
from dev.kafka import free_port

_FULL = CONTESTANTS["full"]
_EVENTS_WITH_KEYS = 20_000
_SEED = 7
_POLL_SECONDS = 0.05


def workers(session: Session) -> None:
    """Events/s with 1 and 2 workers."""
    _scale(session, (LOGISTIC, TREE), workers=(1, 2), partitions=(8,))


def partitions(session: Session) -> None:
    """Events/s with 1 to 64 partitions."""
    _scale(session, (LOGISTIC,), workers=(1,), partitions=(1, 4, 16, 64))


def keys(session: Session) -> None:
    """Events/s as keyed state grows."""
    for number, count in product(range(session.rounds), session.keys):
        names = shuffled(count, _EVENTS_WITH_KEYS)
        about = {"contestant": "full", "model": LOGISTIC, "keys": count, "round": number}
        job = _job_with_windows(session, len(names))
        session.attempt(about, session.throughput, _FULL, job, names, count)


def shuffled(count: int, more: int) -> list[str]:
    """Return so many keys, and then some of them again, in a random order."""
    random = Random(_SEED)
    return [*map(str, range(count)), *(str(random.randrange(count)) for _ in range(more))]


def restore(session: Session) -> None:
    """Time to restore state, by its size."""
    for count in session.keys:
        about = {"contestant": "full", "model": LOGISTIC, "keys": count}
        session.attempt(about, _restore, session, count)


def _scale(
    session: Session, models: Sequence[str], workers: Sequence[int], partitions: Sequence[int]
) -> None:
    models = session.models or models
    axes = product(range(session.rounds), models, workers, partitions)
    for number, model, shared_by, count in axes:
        about = {"contestant": "full", "model": model, "round": number}
        about |= {"workers": shared_by, "partitions": count}
        job = replace(session.job(model), keyed=True, scope="partition")
        job = replace(job, workers=shared_by, partitions=count)
        names = [*islice(cycle(data.balanced_keys(count)), job.events)]
        session.attempt(about, session.throughput, _FULL, job, names)


def _job_with_windows(session: Session, events: int) -> Job:
    return replace(session.job(LOGISTIC), events=events, keyed=True, windows=True)


def _restore(session: Session, count: int) -> Result:
    job, port = _job_with_windows(session, count), free_port()
    command = millrace("full", web_port=port)
    with session.broker.topics(job):
        with started(session.broker, job, command) as run:
            run.warm_up(data.records(job, [*map(str, range(count))]))
        began = time.monotonic()
        with Process(command(job), job) as process:
            while not _get(port, "readyz"):
                process.check_alive()
                if time.monotonic() - began > ready_seconds(count):
                    raise RuntimeError(f"the worker is not ready: {process.last_lines()}")
                time.sleep(_POLL_SECONDS)
            ready = time.monotonic() - began
            restored = re.findall(r"(?m)^millrace_restore_seconds\S* (\S+)$", _get(port, "metrics"))
            return {"ready_seconds": ready, "restore_seconds": max(map(float, restored))}


def _get(port: int, page: str) -> str:
    """Return a page of a worker; nothing if it does not answer with success."""
    opener = build_opener(ProxyHandler({}))
    with suppress(OSError), opener.open(f"http://127.0.0.1:{port}/{page}") as response:
        return str(response.read(), "utf-8")
    return ""
