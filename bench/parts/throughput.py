"""How fast each contestant is, compared with the bare River loop over the same events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.contestants import BARE, CONTESTANTS
from bench.process import run_in_memory
from bench.results import Result
from bench.session import LOGISTIC, MODELS, Session

_CONTESTANTS = ("handwritten", "full", "default", "split", "bytewax", "quix", "faust")
_GUARANTEES = ("full", "full-eos", "default", "default-eos")
_FAUST_EVENTS = 3_000  # it takes five seconds for them


def throughput(session: Session) -> None:
    """Events/s, CPU time and memory, compared with the bare River loop."""
    _compare(session, MODELS, _CONTESTANTS)


def guarantee(session: Session) -> None:
    """The cost of exactly once compared with at least once."""
    _compare(session, (LOGISTIC,), _GUARANTEES)


def stages(session: Session) -> None:
    """Where the time of an event goes in Millrace, operator by operator, in memory."""
    for number in range(session.rounds):
        for model in session.models or MODELS:
            session.attempt({"model": model, "round": number}, _stages, session, model)


def _compare(session: Session, models: Sequence[str], names: Sequence[str]) -> None:
    names = session.choose(names)
    for number in range(session.rounds):
        for model in session.models or models:
            about = {"model": model, "round": number}
            bare = run_in_memory(BARE, session.job(model))
            marks = bare.pop("marks")
            session.keep({"contestant": BARE, **about, **bare, "ratio_to_bare": 1.0})
            for name in names:
                session.attempt({"contestant": name, **about}, _run, session, name, model, marks)
        names = names[1:] + names[:1]


def _run(session: Session, name: str, model: str, marks: Sequence[Sequence[float]]) -> Result:
    job = session.job(model)
    if name == "faust":
        job = replace(job, events=min(job.events, _FAUST_EVENTS))
    found = session.throughput(CONTESTANTS[name], job)
    bare_seconds = seconds_between(marks, found["first"], found["last"])
    return {**found, "ratio_to_bare": bare_seconds / found["seconds"]}


def seconds_between(marks: Sequence[Sequence[float]], first: int, last: int) -> float:
    """Return how long the bare loop took from event `first` to event `last`."""
    events, seconds = np.array(marks).T
    begin, end = np.interp([first, last], events, seconds)
    return float(end - begin)


def _stages(session: Session, model: str) -> Result:
    job = session.job(model)
    bare, fold = run_in_memory(BARE, job), run_in_memory("fold", job)
    per_event = 1e6 / job.events
    return {
        "bare_seconds": bare["seconds"],
        "fold_seconds": fold["seconds"],
        "ratio_to_bare": bare["seconds"] / fold["seconds"],
        "microseconds": {name: each * per_event for name, each in fold["stages"].items()},
        "bare_microseconds": bare["seconds"] * per_event,
    }
