"""Where the time of an event goes: the chain `full` in memory, operator by operator."""

from __future__ import annotations

from bench.contestants import BARE, run_in_memory
from bench.session import MODELS, Result, Session, Step


def steps(session: Session) -> list[Step]:
    """The bare loop and then Millrace, with every model in every round."""
    return [
        Step({"model": model, "round": number}, lambda model=model: _run(session, model))  # type: ignore[misc]
        for number in range(session.choice.rounds)
        for model in session.models(MODELS)
    ]


def _run(session: Session, model: str) -> Result:
    job = session.job(model, session.events(model))
    bare, fold = run_in_memory(BARE, job), run_in_memory("fold", job)
    return {
        "bare_seconds": bare["marks"][-1],
        "fold_seconds": fold["seconds"],
        "ratio_to_bare": bare["marks"][-1] / fold["seconds"],
        "microseconds": {
            name: seconds / job.events * 1e6 for name, seconds in fold["stages"].items()
        },
        "bare_microseconds": bare["marks"][-1] / job.events * 1e6,
    }
