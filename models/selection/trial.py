"""The test that a challenger must pass to take the place of its incumbent.

Both predict the same events, before either has learned from them. The challenger first learns from
some examples, its warm-up; then it wins where it is proven better, by the test that champions are
chosen by (`e_process`), without a margin. Losses are taken in the order of the events: by blocks,
each once nothing of it or of an earlier one can change.
"""

from __future__ import annotations

from enum import StrEnum, auto
from math import inf, log
from statistics import mean, median

from millrace.models.sealed import Fields
from millrace.models.selection.alpha_spending import alpha_share
from millrace.models.selection.evidence import Evidence

MIN_LABELS = 50
"""Labelled events that are compared at least."""

MOST_LABELS = 5_000
"""Labelled events after which a challenger that is not proven better has lost."""

_AT_A_TIME = 10  # labelled events after which one looks again
_TIMES_LOSS = 5.0  # of the incumbent's usual loss in the warm-up: such a loss counts as 1


class Verdict(StrEnum):
    """What a trial has shown so far."""

    UNDECIDED = auto()
    WON = auto()
    LOST = auto()


class Trial:
    """Compares a challenger with the incumbent on events that both have predicted.

    A loss is in [0, 1]. Where it is not by itself, five times the incumbent's median loss in the
    warm-up counts as 1 (its mean loss where the median is 0). Where the incumbent made no
    prediction then, any prediction counts as 0. An event without a prediction counts as 1.

    Parameters
    ----------
    examples
        The challenger learns from half as many before it predicts, and from one at least.
    alpha
        The chance that a challenger wins, in this trial or when it begins again, that is no better.
    is_bounded
        Whether losses are in [0, 1] by themselves.
    ends
        Whether a challenger that is not proven better has lost in the end.

    Examples
    --------
    >>> trial = Trial(examples=2)
    >>> trial.count_learned()
    >>> trial.is_warm
    True
    >>> for block in range(6):
    ...     for _ in range(10):
    ...         trial.compare(block, incumbent_loss=1.0, challenger_loss=0.0)
    ...     trial.settle(before=block)
    ...     print(trial.evidence["compared"], trial.verdict)
    0 undecided
    10 undecided
    20 undecided
    30 undecided
    40 undecided
    50 won
    """

    def __init__(
        self,
        examples: int,
        alpha: float = 0.05,
        *,
        is_bounded: bool = True,
        ends: bool = True,
        learned: int = 0,
    ) -> None:
        self._warm_up = examples - examples // 2
        self._alpha = alpha
        self._is_bounded = is_bounded
        self._ends = ends
        self._round = 1
        self._restart(learned)

    def _restart(self, learned: int = 0) -> None:
        self._learned = learned
        self._in_warm_up: list[float] = []  # what the incumbent lost
        self._bound = 1.0 if self._is_bounded else None
        self._waiting: dict[int, list[float]] = {}  # block to count, sum and sum of squares
        self._settled = [0.0, 0.0, 0.0]  # the same of events that nothing waits for
        self._evidence = Evidence()
        self.verdict = Verdict.UNDECIDED

    def __getstate__(self) -> dict[str, object]:
        return self.to_fields()

    def __setstate__(self, state: Fields) -> None:
        fields = {name.removeprefix("_"): value for name, value in state.items()}
        vars(self).update(vars(Trial.from_fields(fields)))

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {
            "warm_up": self._warm_up,
            "alpha": self._alpha,
            "is_bounded": self._is_bounded,
            "ends": self._ends,
            "round": self._round,
            "learned": self._learned,
            "in_warm_up": [*self._in_warm_up],
            "bound": self._bound,
            "waiting": [[block, *sums] for block, sums in self._waiting.items()],
            "settled": [*self._settled],
            "evidence": self._evidence.to_fields(),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Trial:
        """Return the trial that was saved, at the same place."""
        trial = cls(0, learned=fields["learned"])
        trial._warm_up = fields["warm_up"]
        if "evidence" not in fields:  # any lower sum of losses won: it is compared anew
            return trial
        trial._alpha, trial._round = fields["alpha"], fields["round"]
        trial._is_bounded, trial._ends = fields["is_bounded"], fields["ends"]
        trial._in_warm_up, trial._bound = [*fields["in_warm_up"]], fields["bound"]
        trial._settled = [*fields["settled"]]
        trial._waiting = {block: sums for block, *sums in fields["waiting"]}
        trial._evidence = Evidence.from_fields(fields["evidence"])
        return trial

    @property
    def is_warm(self) -> bool:
        """Whether the challenger has learned enough to be compared."""
        return self._learned >= self._warm_up

    def begin_again(self) -> None:
        """Begin anew, as if nothing had been compared or learned; a falling share of alpha is left.

        So the chance of a win by mistake is at most alpha however often it begins again.
        """
        self._round += 1
        self._restart()

    def count_learned(self) -> None:
        """Count an example that the challenger has learned from."""
        self._learned += 1

    def note_warm_up(self, incumbent_loss: float | None) -> None:
        """Note what the incumbent lost at an event that the challenger did not predict."""
        if incumbent_loss is not None and self._bound is None:
            self._in_warm_up.append(incumbent_loss)

    def compare(
        self, block: int, incumbent_loss: float | None, challenger_loss: float | None
    ) -> None:
        """Compare two predictions of one event of a block.

        A loss is None where there was no prediction.
        """
        if self._bound is None:
            self._bound, self._in_warm_up = _bound_by(self._in_warm_up), []
        difference = _share(incumbent_loss, self._bound) - _share(challenger_loss, self._bound)
        _add(self._waiting.setdefault(block, [0.0, 0.0, 0.0]), 1, difference, difference**2)

    def settle(self, before: int) -> None:
        """Take what was compared in blocks before one; nothing of these can change any more."""
        waiting, settled = self._waiting, self._settled
        while waiting and (first := min(waiting)) < before:
            _add(settled, *waiting.pop(first))
        if settled[0] >= _AT_A_TIME:
            count, total, squares = settled
            self._evidence.add(int(count), total, squares)
            self._settled = [0.0, 0.0, 0.0]
            self.verdict = self._found()

    @property
    def evidence(self) -> dict[str, float]:
        """What the verdict rests on: what was compared, and with which result.

        `advantage` is by how much the challenger's mean loss is lower, `log_e_value` is to be
        compared with minus the logarithm of `alpha`.
        """
        return {
            "learned": self._learned,
            "compared": self._evidence.n,
            "advantage": self._evidence.mean,
            "log_e_value": self._evidence.log_e(),
            "alpha": self._share_of_alpha,
        }

    @property
    def _share_of_alpha(self) -> float:
        return alpha_share(self._alpha, self._round, challengers=1)

    def _found(self) -> Verdict:
        """Return which of the two is to predict from now on, once that is decided."""
        evidence, enough = self._evidence, -log(self._share_of_alpha)
        if evidence.n < MIN_LABELS:
            return Verdict.UNDECIDED
        if evidence.log_e() >= enough:
            return Verdict.WON
        is_over = self._ends and evidence.n >= MOST_LABELS
        return Verdict.LOST if is_over or evidence.log_e_worse() >= enough else Verdict.UNDECIDED


def _bound_by(losses: list[float]) -> float:
    """Return the loss that counts as 1."""
    if not losses:
        return inf
    return _TIMES_LOSS * (median(losses) or mean(losses))


def _share(loss: float | None, bound: float) -> float:
    """Return a loss in [0, 1]."""
    if loss is None:
        return 1.0
    return min(loss / bound, 1.0) if bound else float(loss > 0)


def _add(sums: list[float], *more: float) -> None:
    for at, each in enumerate(more):
        sums[at] += each
