"""How fast each contestant is, compared with the bare River loop over the same events.

By time and by CPU time: the first is what users get, the second says the same on a machine that
does other things as well. CPU time is that of the contestant's processes, user and system, between
the same two moments; that of the bare loop is the same of its own process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.contestants import BARE, EQUAL
from bench.job import Job
from bench.process import run_in_memory
from bench.results import Result
from bench.session import LOGISTIC, MODELS, TREE, Session

_CONTESTANTS = (
    *("handwritten", "full", "default", "split", "bytewax", "quix", "faust"),
    *(f"{each}{EQUAL}" for each in ("handwritten", "bytewax", "quix")),
)
_WITH_DELAY = ("full", "default")
_GUARANTEES = ("full", "full-eos", "default", "default-eos")
_FAUST_EVENTS = 3_000  # it takes five seconds for them


def throughput(session: Session) -> None:
    """Events/s, CPU time and memory, compared with the bare River loop."""
    _compare(session, MODELS, _CONTESTANTS)


def delayed(session: Session) -> None:
    """The same with each label so many events behind its event (--label-delay)."""
    _compare(session, (LOGISTIC, TREE), _WITH_DELAY, session.label_delay)


def guarantee(session: Session) -> None:
    """The cost of exactly once compared with at least once."""
    _compare(session, (LOGISTIC,), _GUARANTEES)


def stages(session: Session) -> None:
    """Where the CPU time of an event goes in Millrace, operator by operator, in memory."""
    for number in range(session.rounds):
        for model in session.models or MODELS:
            session.attempt({"model": model, "round": number}, _stages, session, model)


def envelopes(session: Session) -> None:
    """What ingest takes for an event in each form that it may come in, in memory."""
    for number in range(session.rounds):
        session.attempt({"model": LOGISTIC, "round": number}, _envelopes, session)


def _compare(
    session: Session, models: Sequence[str], names: Sequence[str], label_delay: int = 0
) -> None:
    names = session.choose(names)
    for number in range(session.rounds):
        for model in session.models or models:
            about = {"model": model, "round": number}
            about |= {"label_delay": label_delay} if label_delay else {}
            bare = run_in_memory(BARE, replace(session.job(model), label_delay=label_delay))
            marks = bare.pop("marks")
            unit = {"ratio_to_bare": 1.0, "cpu_ratio_to_bare": 1.0}
            session.keep({"contestant": BARE, **about, **bare, **unit})
            for name in names:
                job = replace(session.job(model), label_delay=label_delay)
                session.attempt({"contestant": name, **about}, _run, session, name, job, marks)
        names = names[1:] + names[:1]


def _run(session: Session, name: str, job: Job, marks: Sequence[Sequence[float]]) -> Result:
    if name == "faust":
        job = replace(job, events=min(job.events, _FAUST_EVENTS))
    found = session.throughput(session.command(name), job)
    return {**found, **to_bare(found, marks)}


def to_bare(found: Result, marks: Sequence[Sequence[float]]) -> Result:
    """Compare a run with the bare loop over the same events, by time and by CPU time."""
    seconds, cpu_seconds = spent_between(marks, found["first"], found["last"])
    bare_per_million = cpu_seconds / (found["last"] - found["first"]) * 1e6
    per_million = found["cpu_seconds_per_million"]
    return {
        "ratio_to_bare": seconds / found["seconds"],
        "cpu_ratio_to_bare": per_million and bare_per_million / per_million,
    }


def spent_between(marks: Sequence[Sequence[float]], first: int, last: int) -> tuple[float, float]:
    """Return the time and the CPU time that the bare loop took from event `first` to `last`."""
    events, *spent = np.array(marks).T
    seconds, cpu_seconds = (float(np.diff(np.interp([first, last], events, s))[0]) for s in spent)
    return seconds, cpu_seconds


def _envelopes(session: Session) -> Result:
    """Compare forms with plain JSON, by what ingest takes for it, and the whole chain."""
    job = session.job_in_memory(LOGISTIC)
    seconds = run_in_memory("ingest", job)["forms"]
    of_chain = run_in_memory("fold", job)["cpu_seconds"]
    rest = of_chain - seconds["avro"]
    per_event = 1e6 / job.events
    return {
        "events": job.events,
        "microseconds": {form: each * per_event for form, each in seconds.items()},
        "rate_to_json": {
            form: (seconds["json"] + rest) / (each + rest) for form, each in seconds.items()
        },
    }


def _stages(session: Session, model: str) -> Result:
    """Compare what the operators and the encoding take with what the bare loop takes.

    No worker makes more: reading, writing and commits come on top.
    """
    job = session.job_in_memory(model)
    bare, fold = run_in_memory(BARE, job), run_in_memory("fold", job)
    bare_cpu_seconds = bare["cpu_seconds_per_million"] / 1e6 * job.events
    per_event = 1e6 / job.events
    return {
        "events": job.events,
        "bare_cpu_seconds": bare_cpu_seconds,
        "fold_cpu_seconds": fold["cpu_seconds"],
        "cpu_ratio_to_bare": bare_cpu_seconds / fold["cpu_seconds"],
        "most_events_per_second": job.events / fold["cpu_seconds"],
        "microseconds": {name: each * per_event for name, each in fold["stages"].items()},
        "bare_microseconds": bare_cpu_seconds * per_event,
    }
