"""The test that a challenger must pass: lower losses than the incumbent.

Both predict the same events, before either has learned from them. The rule here is simple: after
a warm-up, any advantage in the sum of losses wins. A valid statistical test needs no more than
this interface.
"""

from __future__ import annotations

from enum import StrEnum, auto

from millrace.models.sealed import Fields


class Verdict(StrEnum):
    """What a trial has shown so far."""

    UNDECIDED = auto()
    WON = auto()
    LOST = auto()


class Trial:
    """Compares a challenger with the incumbent on events that both have predicted.

    The challenger learns from half of the examples before it predicts, and is then compared on as
    many events, though on one at least.

    Parameters
    ----------
    examples
        How many the challenger has learned from at the decision, where labels come at once.
    learned, advantage
        Where the trial starts: examples learned already, and by how much the sum of the
        challenger's losses is below the incumbent's.

    Examples
    --------
    >>> trial = Trial(examples=2)
    >>> trial.count_learned()
    >>> trial.is_warm
    True
    >>> trial.compare(incumbent_loss=1.0, challenger_loss=0.0)
    >>> trial.verdict
    <Verdict.WON: 'won'>
    """

    _unanswered = 0  # not in what 0.1 saved

    def __init__(self, examples: int, learned: int = 0, advantage: float = 0.0) -> None:
        self._warm_up = examples - examples // 2
        self._to_compare = max(examples // 2, 1)
        self._learned = learned
        self._compared = max(learned - self._warm_up, 0)
        self._advantage = advantage
        self._unanswered = 0  # events that only the challenger predicted

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {
            "warm_up": self._warm_up,
            "to_compare": self._to_compare,
            "learned": self._learned,
            "compared": self._compared,
            "advantage": self._advantage,
            "unanswered": self._unanswered,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Trial:
        """Return the trial that was saved, at the same place."""
        trial = cls(examples=0)
        for name, value in fields.items():
            setattr(trial, f"_{name}", value)
        return trial

    @property
    def is_warm(self) -> bool:
        """Whether the challenger has learned enough to be compared."""
        return self._learned >= self._warm_up

    def begin_again(self) -> None:
        """Begin anew, as if nothing had been compared or learned."""
        self._learned = self._compared = self._unanswered = 0
        self._advantage = 0.0

    def count_learned(self) -> None:
        """Count an example that the challenger has learned from."""
        self._learned += 1

    def compare(self, incumbent_loss: float | None, challenger_loss: float | None) -> None:
        """Compare two predictions of one event.

        A loss is None where there was no prediction: the event counts, and is no advantage. But an
        incumbent that did not predict most of the events that the challenger predicted has lost.
        """
        self._compared += 1
        if incumbent_loss is not None and challenger_loss is not None:
            self._advantage += incumbent_loss - challenger_loss
        elif challenger_loss is not None:
            self._unanswered += 1

    @property
    def evidence(self) -> dict[str, float]:
        """What the verdict rests on: what was compared, and with which result."""
        return {
            "learned": self._learned,
            "compared": self._compared,
            "unanswered": self._unanswered,
            "advantage": self._advantage,
        }

    @property
    def verdict(self) -> Verdict:
        """Which of the two is to predict from now on, once that is decided."""
        if self._compared < self._to_compare:
            return Verdict.UNDECIDED
        has_won = self._advantage > 0 or 2 * self._unanswered > self._compared
        return Verdict.WON if has_won else Verdict.LOST
