"""How long an event waits for its prediction, under a steady load.

First the maximum rate that a contestant sustains, then loads of 25, 50 and 75 % of it. An event's
latency runs from the time it was due to be produced to the time its prediction was visible to a
reader of committed records.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bench import data
from bench.load import prepare
from bench.measure import started
from bench.results import Result
from bench.session import LOGISTIC, WARM_UP, Session

_CONTESTANTS = ("handwritten", "full", "full-eos", "default", "default-eos")
_START_SECONDS = 0.2
_SETTLE = 1.0  # seconds after the start of a load that do not count
_LATE_SECONDS = 20.0
_TRIALS = 3


def latency(session: Session) -> None:
    """From due to visible, at shares of each contestant's maximum rate."""
    for model in session.models or (LOGISTIC,):
        for name in session.choose(_CONTESTANTS):
            about = {"contestant": name, "model": model}
            found = session.attempt({**about, "share": None}, _maximum, session, name, model)
            for share in session.shares if "error" not in found else ():
                rate = share * found["sustained_per_second"]
                session.attempt(
                    {**about, "share": share}, _load, session, name, model, rate, _LATE_SECONDS
                )


def _maximum(session: Session, name: str, model: str) -> Result:
    """Find the maximum rate. Offering more takes CPU time, too, so each trial offers less."""
    found = session.throughput(session.command(name), session.job(model))
    rate, taken = found["events_per_second"], []
    for _ in range(_TRIALS):
        taken.append(_load(session, name, model, rate, 0)["taken_per_second"])
        rate = (rate + taken[-1]) / 2
    return {**found, "sustained_per_second": max(taken)}


def _load(session: Session, name: str, model: str, rate: float, late_seconds: float) -> Result:
    """Run a contestant under a load; wait `late_seconds` after its end for predictions."""
    broker, job, duration = session.broker, session.job(model), _SETTLE + session.load_seconds
    count = int(rate * duration) if broker.is_real else min(int(rate * duration), job.events)
    job = replace(job, events=WARM_UP + count)
    with (
        broker.topics(job),
        started(broker, job, session.command(name)) as run,
        prepare(job, WARM_UP, rate) as load,
    ):
        run.warm_up(data.records(replace(job, events=WARM_UP)))
        polls, start = len(run.seen), time.monotonic() + _START_SECONDS
        load.send(start)
        run.wait(WARM_UP + count, count / rate + late_seconds, at_once=True)
        seen, behind_seconds = [(start, WARM_UP), *run.seen[polls:]], load.recv()
    if run.count == WARM_UP:
        raise RuntimeError(f"no prediction was visible at {rate:,.0f} events/s")
    waits, settled = latencies(seen, rate), int(count * _SETTLE / duration)
    waits = waits[min(settled, len(waits) - 1) :]
    p50, p99, p999 = np.quantile(waits, [0.5, 0.99, 0.999], method="inverted_cdf").tolist()
    return {
        "rate": rate,
        "taken_per_second": taken_per_second(seen, start + count / rate / 2, start + count / rate),
        "events": len(waits),
        "unseen": WARM_UP + count - run.count,
        "load_behind_seconds": behind_seconds,
        "p50_seconds": p50,
        "p99_seconds": p99,
        "p999_seconds": p999,
    }


def latencies(seen: Sequence[tuple[float, int]], rate: float) -> npt.NDArray[np.float64]:
    """Return the latency of each event: on one partition, predictions are in the events' order.

    `seen` has the time and the number of predictions when the first was due, and after each poll.
    """
    at, counts = (np.array(each) for each in zip(*seen, strict=True))
    visible = np.repeat(at[1:], np.diff(counts))
    return np.asarray(visible - at[0] - np.arange(len(visible)) / rate)


def taken_per_second(seen: Sequence[tuple[float, int]], begin: float, end: float) -> float:
    """Return the rate at which predictions became visible between two times."""
    at, counts = (np.array(each) for each in zip(*seen, strict=True))
    first, last = counts[np.searchsorted(at, [begin, end], side="right") - 1]
    return float((last - first) / (end - begin))
