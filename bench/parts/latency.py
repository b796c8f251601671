"""How long an event waits for its prediction, under a steady load.

First the most that a contestant takes of a steady load, then a load of 25, 50 and 75 % of that. An
event's latency runs from the moment at which it was due to be produced to the moment at which its
prediction was visible to a reader of committed records: producer, broker twice, and reader are in
it. They share the machine with the contestant, so the maximum is taken beside them, too: where
cores are few, it is well below what the contestant takes of a backlog, with the machine to itself.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from bench import measure
from bench.contestants import Contestant, Running
from bench.job import Job
from bench.session import MODELS, Result, Session, Step
from bench.venvs import REPOSITORY
from bench.watch import Outputs

_CONTESTANTS = ("handwritten", "full", "full-eos", "default", "default-eos")
_SETTLE_SECONDS = 1.0
_LATE_SECONDS = 20.0
_TRIALS = 3


def steps(session: Session) -> list[Step]:
    """The maximum and three loads of every contestant, once."""
    found = []
    for model in session.models(MODELS[:1]):
        for contestant in session.contestants(_CONTESTANTS):
            found += _Loads(session, contestant, model).steps()
    return found


class _Loads:
    def __init__(self, session: Session, contestant: Contestant, model: str) -> None:
        self._session = session
        self._contestant = contestant
        self._model = model
        self._most = 0.0

    def steps(self) -> list[Step]:
        about = {"contestant": self._contestant.name, "model": self._model}
        loads = [
            Step({**about, "share": each}, partial(self._load, each))
            for each in self._session.choice.shares
        ]
        return [Step({**about, "share": None}, self._maximum), *loads]

    def _maximum(self) -> Result:
        """Find the most that is taken of a steady load, beginning with what is of a backlog.

        Offering more than is taken costs the machine, too, so each trial offers less than the one
        before it. They warm up broker and all, which the loads then find as they would be.
        """
        events = self._session.events(self._model)
        measured = measure.throughput(
            self._contestant,
            self._session.job(self._model, events),
            self._session.broker,
            self._session.records(events),
            limit_seconds=self._session.choice.limit_seconds,
            warm_up=min(measure.WARM_UP, events // 2),
        )
        offered, taken = measured.events_per_second, []
        for _ in range(_TRIALS):
            taken.append(self._run(offered, late_seconds=0.0)["taken_per_second"])
            offered = (offered + taken[-1]) / 2
        self._most = max(taken)
        return {**measured.as_result(), "sustained_per_second": self._most}

    def _load(self, share: float) -> Result:
        if not self._most:
            raise RuntimeError("a load requires the contestant's maximum, which was not measured")
        return self._run(self._most * share, _LATE_SECONDS)

    def _run(self, rate: float, late_seconds: float) -> Result:
        broker = self._session.broker
        count = int(rate * (self._session.choice.load_seconds + _SETTLE_SECONDS))
        count = count if broker.is_real else min(count, self._session.events(self._model))
        job = self._session.job(self._model, count + measure.WARM_UP)
        broker.create([job.input_topic, job.output_topic])
        try:
            with (
                Outputs(broker.bootstrap, job.output_topic) as outputs,
                self._contestant.start(job, broker) as running,
            ):
                broker.fill(job.input_topic, self._session.records(measure.WARM_UP))
                measure.wait(
                    outputs,
                    running,
                    lambda: outputs.count >= measure.WARM_UP,
                    measure.READY_SECONDS,
                )
                return _under_load(outputs, running, job, rate, count, late_seconds)
        finally:
            broker.delete(f"{job.name}.")


def _under_load(
    outputs: Outputs, running: Running, job: Job, rate: float, count: int, late_seconds: float
) -> Result:
    plan = {
        "bootstrap": job.bootstrap,
        "topic": job.input_topic,
        "first": measure.WARM_UP,
        "count": count,
        "rate": rate,
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        try:
            load.stdin.write(json.dumps(plan) + "\n")
            load.stdin.flush()
            if load.stdout.readline().strip() != "ready":
                raise RuntimeError("the load did not start")
            start, before = time.monotonic() + 0.2, outputs.count
            load.stdin.write(f"{start!r}\n")
            load.stdin.flush()
            looks = len(outputs.seen)
            _watch(outputs, running, before + count, count / rate + late_seconds)
            behind = json.loads(load.stdout.readline() or "{}").get("behind_seconds")
        finally:
            load.kill()
    settled = int(rate * _SETTLE_SECONDS) if count > rate * _SETTLE_SECONDS * 2 else 0
    seen = [(start, before), *outputs.seen[looks:]]
    waits = latencies(seen, before, start, rate)[settled:]
    return {
        "rate": rate,
        "taken_per_second": pace(seen, start + count / rate / 2, start + count / rate),
        "events": len(waits),
        "unseen": before + count - outputs.count,
        "load_behind_seconds": behind,
        **{name: quantile(waits, share) for name, share in _QUANTILES.items()},
    }


_QUANTILES = {"p50_seconds": 0.5, "p99_seconds": 0.99, "p999_seconds": 0.999}


def _watch(outputs: Outputs, running: Running, until: int, timeout_seconds: float) -> None:
    """Look closely until all predictions are there, or it takes too long for a steady load."""
    deadline = time.monotonic() + timeout_seconds
    while outputs.look_closely() < until and time.monotonic() < deadline:
        pass
    running.check_alive()


def latencies(
    seen: Sequence[tuple[float, int]], before: int, start: float, rate: float
) -> list[float]:
    """Return the wait of each event: on one partition, the n-th prediction is the n-th event's.

    Examples
    --------
    >>> latencies([(0.0, 10), (1.5, 12), (3.0, 13)], before=10, start=1.0, rate=1.0)
    [0.5, -0.5, 0.0]
    """
    return [
        at - (start + (number - before) / rate)
        for (_, previous), (at, count) in pairwise(seen)
        for number in range(previous, count)
    ]


def pace(seen: Sequence[tuple[float, int]], begin: float, end: float) -> float:
    """Return how many predictions became visible per second of a stretch of time.

    Examples
    --------
    >>> pace([(0.0, 10), (1.5, 12), (3.0, 18), (4.0, 30)], begin=1.0, end=3.0)
    4.0
    """
    first, last = (max(count for at, count in seen if at <= moment) for moment in (begin, end))
    return (last - first) / (end - begin)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that `share` of them do not exceed; None of no values.

    Examples
    --------
    >>> quantile([3.0, 1.0, 2.0, 4.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] if ordered else None
