"""How fast each contestant is, as a ratio to the bare River loop over the same events."""

from __future__ import annotations

from bench import measure
from bench.contestants import BARE, Contestant, run_in_memory
from bench.job import Job
from bench.session import MODELS, Result, Session, Step
from bench.subjects.bare import STRIDE

_CONTESTANTS = ("handwritten", "full", "default", "split", "bytewax", "quix", "faust")
_GUARANTEES = ("full", "full-eos", "default", "default-eos")
_SLOW_EVENTS = 3_000
_SLOW = frozenset({"faust"})


def steps(session: Session) -> list[Step]:
    """Every contestant, with every model."""
    return _steps(session, MODELS, _CONTESTANTS)


def guarantee_steps(session: Session) -> list[Step]:
    """Millrace with either guarantee."""
    return _steps(session, MODELS[:1], _GUARANTEES)


def _steps(session: Session, models: tuple[str, ...], names: tuple[str, ...]) -> list[Step]:
    contestants = session.contestants(names)
    found: list[Step] = []
    for number in range(session.choice.rounds):
        turn = number % len(contestants) if contestants else 0
        for model in session.models(models):
            one_round = _Round(session, model, number)
            found.append(one_round.bare())
            found += map(one_round.step, contestants[turn:] + contestants[:turn])
    return found


class _Round:
    """Every contestant's turn with one model, after the bare loop's."""

    def __init__(self, session: Session, model: str, number: int) -> None:
        self._session = session
        self._about = {"model": model, "round": number}
        self._model = model
        self._marks: list[float] = []

    def bare(self) -> Step:
        return Step({"contestant": BARE, **self._about}, self._run_bare)

    def step(self, contestant: Contestant) -> Step:
        about = {"contestant": contestant.name, **self._about}
        return Step(about, lambda: self._run(contestant))

    def _run_bare(self) -> Result:
        found = run_in_memory(BARE, self._job(self._session.events(self._model)))
        self._marks = found["marks"]
        return {
            "seconds": self._marks[-1],
            "events_per_second": found["events"] / self._marks[-1],
            "cpu_seconds_per_million": found["cpu_seconds"] / found["events"] * 1e6,
            "peak_rss_bytes": found["peak_rss_bytes"],
            "accuracy": found["accuracy"],
        }

    def _run(self, contestant: Contestant) -> Result:
        events = self._session.events(self._model)
        if contestant.name in _SLOW:
            events = min(events, _SLOW_EVENTS)
        measured = measure.throughput(
            contestant,
            self._job(events),
            self._session.broker,
            self._session.records(events),
            limit_seconds=self._session.choice.limit_seconds,
            warm_up=min(measure.WARM_UP, events // 2),
        )
        limit = seconds_between(self._marks, measured.first, measured.last)
        return measured.as_result() | {"ratio_to_bare": limit / measured.seconds}

    def _job(self, events: int) -> Job:
        return self._session.job(self._model, events)


def seconds_between(marks: list[float], first: int, last: int) -> float:
    """Return what the bare loop took from event `first` to event `last`, between its marks.

    Examples
    --------
    >>> seconds_between([0.0, 1.0, 3.0], first=125, last=500)
    2.5
    """
    return _seconds_at(marks, last) - _seconds_at(marks, first)


def _seconds_at(marks: list[float], events: int) -> float:
    number, rest = divmod(events, STRIDE)
    if number >= len(marks) - 1:
        return marks[-1]
    return marks[number] + (marks[number + 1] - marks[number]) * rest / STRIDE
