"""Who is to serve, by the standings of a contest: the one place in the study that decides.

A proof is about the events that were seen. One of two trees that are equal in law splits first, is
better by far for a thousand events, and this is proven, but it does not last. So a challenger is
promoted where the proof is there and its lead has shown itself twice again: each time in an
e-process of its own, that begins after the one before, of at least `MIN_LABELS` labels and of an
e-value of 2 or more. Where the proof is lost, what was shown again is forgotten.

Whoever was promoted is on probation for as long as it serves: where its forerunner is better since
then, at `PROBATION_ALPHA`, the forerunner serves again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import NamedTuple

from millrace.models.selection.contest import MARGIN, MIN_LABELS, Contest, Standing
from millrace.models.selection.evidence import Evidence

AGAIN_ALPHA = 0.5
AGAIN_TIMES = 2
PROBATION_ALPHA = 0.2


class _Sums(NamedTuple):
    n: int
    total: float
    squares: float

    @classmethod
    def of(cls, evidence: Evidence) -> _Sums:
        return cls(evidence.n, evidence.total, evidence.squares)


_NOTHING = _Sums(0, 0.0, 0.0)


@dataclass
class _Rival:
    """A candidate that may come to serve: what it has shown since its proof, and since it served.

    Attributes
    ----------
    evidence, before
        The evidence of the standing that was looked at last, and its sums then.
    again, times
        What was shown since the proof was there, or since it was shown again; and how often it was.
    """

    evidence: Evidence = field(default_factory=Evidence)
    before: _Sums = _NOTHING
    again: Evidence | None = None
    times: int = 0

    def follow(self, evidence: Evidence) -> _Sums:
        """Return the sums of the newest block."""
        if evidence is not self.evidence:  # another round
            self.evidence, self.before = evidence, _Sums.of(evidence)
            self.again, self.times = None, 0
        now, before = _Sums.of(evidence), self.before
        self.before = now
        return _Sums(now.n - before.n, now.total - before.total, now.squares - before.squares)

    def confirm(self, standing: Standing, newest: _Sums) -> bool:
        """Take the newest block; return whether the candidate is to serve."""
        if not has_proof(standing):
            self.again, self.times = None, 0
        elif self.again is None:
            self.again = Evidence()
        else:
            self.again.add(*newest)
            is_shown = self.again.log_e(MARGIN) >= -log(AGAIN_ALPHA)
            if self.again.n >= MIN_LABELS and is_shown:
                self.again, self.times = Evidence(), self.times + 1
        return self.times >= AGAIN_TIMES


def has_proof(standing: Standing) -> bool:
    """Return whether a candidate is proven better on the events that were seen."""
    return standing.evidence.n >= MIN_LABELS and standing.proof >= 1


class Deciding:
    """Looks at a contest after each block. All champions but the first are its own choice."""

    def __init__(self) -> None:
        self._champion = self._sent_back = ""
        self._rivals: dict[str, _Rival] = {}
        self._forerunner = ""  # of a champion that is on probation
        self._against = Evidence()  # of the forerunner, since the champion serves

    def decide(self, contest: Contest) -> str | None:
        """Return who is to serve, where it is not the champion; to be asked after each block."""
        if contest.champion != self._champion:
            self._begin(contest)
        chosen = None
        for name, standing in contest.standings.items():
            if standing.alpha is None or name == contest.champion:
                continue  # what cannot serve has no test
            rival = self._rivals.setdefault(name, _Rival())
            newest = rival.follow(standing.evidence)
            if rival.confirm(standing, newest) and chosen is None:
                chosen = name
            if name == self._forerunner and self._is_missed(newest):
                self._forerunner = ""
                self._sent_back = contest.champion
                return name
        if chosen is not None:
            self._forerunner = contest.champion
        return chosen

    def _begin(self, contest: Contest) -> None:
        """Follow another champion."""
        if self._sent_back in contest.standings:
            contest.standings[self._sent_back].evidence.forgo()
        self._champion, self._sent_back = contest.champion, ""
        self._rivals, self._against = {}, Evidence()

    def _is_missed(self, newest: _Sums) -> bool:
        self._against.add(*newest)
        return self._against.log_e() >= -log(PROBATION_ALPHA)
