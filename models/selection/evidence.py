"""The evidence of one challenger against the champion: six numbers, and what follows from them.

A fold that reads the losses of both at the same events pools them in blocks, in the order of the
events, and adds the sums of a block once all its events have ended: in the order in which labels
come, positives that come early would promote a model that is worse. After each block, it may ask
whether the challenger is better, whether it is worse, by how much, and how long this will take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

from millrace.models.sealed import Fields
from millrace.models.selection.e_process import LARGEST_CENTRE, log_e_value

_ROUNDING = 1e-9  # of a sum, relative to the number of its terms
_PRECISION = 1e-6  # of the ends of an interval
_NEVER = 2**50  # labels


@dataclass(slots=True)
class Evidence:
    """What the differences of two models' losses have shown.

    The difference at an event is the champion's loss less the challenger's, both in [0, 1]. The
    mathematics, and what is assumed, is in `e_process`. Both directions are asked of one object;
    each has its own sum of squares, since a centre is bounded on the side of the direction.

    Parameters
    ----------
    n
        Labels: events at which both losses are known.
    total
        Sum of the differences.
    squares
        Sum of their squares.
    about_better, about_worse
        Sums of the squares about the centres, of the test of "better" and of that of "worse". The
        centre of a block is the mean of earlier blocks, at most 0.1 (at least -0.1 for "worse").
    forgone
        What the sum of the differences is lowered by in the test of "better"; 0 or more.

    Examples
    --------
    A challenger that errs at 15 % of the events, where the champion errs at 20 %. At alpha 0.05, it
    is better where the logarithm of the e-value is log(20) = 3.0:

    >>> import random
    >>> rng, evidence = random.Random(1), Evidence()
    >>> def add_blocks(blocks):
    ...     for _ in range(blocks):
    ...         values = [(rng.random() < 0.2) - (rng.random() < 0.15) for _ in range(100)]
    ...         evidence.add(100, sum(values), sum([each * each for each in values]))
    >>> add_blocks(4)
    >>> evidence.n, round(evidence.mean, 3), [round(end, 3) for end in evidence.interval(0.05)]
    (400, 0.05, [-0.042, 0.142])
    >>> round(evidence.log_e(), 2), evidence.labels_needed(alpha=0.05)
    (1.09, 581)
    >>> add_blocks(6)
    >>> round(evidence.log_e(), 2), evidence.labels_needed(alpha=0.05)
    (6.4, 0)

    Its promotion is taken back, so that it has to show this again:

    >>> evidence.forgo()
    >>> round(evidence.log_e(), 2), evidence.labels_needed(alpha=0.05)
    (-1.08, 970)
    """

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    about_better: float = 0.0
    about_worse: float = 0.0
    forgone: float = 0.0

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_fields(cls, fields: Fields) -> Evidence:
        """Return the evidence that was saved."""
        return cls(**fields)

    def add(self, n: int, total: float, squares: float) -> None:
        """Add a block of events that follow all earlier ones.

        Parameters
        ----------
        n
            Events in the block at which both losses are known; 0 changes nothing.
        total, squares
            Sum of their differences, and of the squares of these.

        Raises
        ------
        ValueError
            Sums that no differences in [-1, 1] have; nothing is changed. The test would not be
            valid: unbounded losses are to be capped first.
        """
        slack = n * _ROUNDING
        if not (abs(total) <= n + slack and -slack <= squares <= n + slack):
            raise ValueError(
                "total and squares must be sums of differences in [-1, 1] and of their squares; "
                f"got {total!r} and {squares!r} of {n!r}"
            )
        if n == 0:
            return
        centre = self.mean  # of earlier blocks only
        self.about_better += _about(min(centre, LARGEST_CENTRE), n, total, squares)
        self.about_worse += _about(max(centre, -LARGEST_CENTRE), n, total, squares)
        self.n += n
        self.total += total
        self.squares += squares

    def turned(self) -> Evidence:
        """Return the same with the two in each other's places: what was better is worse."""
        return Evidence(self.n, -self.total, self.squares, self.about_worse, self.about_better)

    @property
    def mean(self) -> float:
        """Mean difference; above 0 where the challenger is better, and 0 before the first label."""
        return self.total / self.n if self.n else 0.0

    def log_e(self, margin: float = 0.0) -> float:
        """Return the logarithm of the e-value of "the challenger is better by more than `margin`".

        Where it is not, the chance that this ever reaches -log(alpha) is at most alpha. The margin
        is a mean difference of losses, and the same at all times.
        """
        return log_e_value(self.total - self.forgone - self.n * margin, self.about_better)

    def log_e_worse(self, margin: float = 0.0) -> float:
        """Return the logarithm of the e-value of "it is worse by more than `margin`"."""
        return log_e_value(-self.total - self.n * margin, self.about_worse)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return between which values the mean difference is: a confidence sequence.

        The chance that the running average of E[difference | past] is ever outside, at any of the
        times that one looks, is at most alpha: alpha / 2 on each side. An end is the margin at
        which the e-value is 2 / alpha, rounded outwards by up to 1e-6. Evidence that was forgone
        counts here, since it is true all the same.

        Returns
        -------
        tuple of float
            Lower and upper, in [-1, 1].
        """
        enough = log(2.0 / alpha)

        def is_better_than(margin: float) -> bool:
            return log_e_value(self.total - self.n * margin, self.about_better) >= enough

        def is_worse_than(margin: float) -> bool:
            return self.log_e_worse(-margin) >= enough

        mean = self.mean
        return _end(-1.0, mean, is_better_than), _end(1.0, mean, is_worse_than)

    def labels_needed(self, alpha: float, margin: float = 0.0) -> int | None:
        """Return about how many labels are missing until "better by more than `margin`" is shown.

        This is where the e-value reaches 1 / alpha, if mean and variance of the differences stay
        as they are. As a function of the labels, its logarithm is convex, so that it passes the
        threshold once.

        Returns
        -------
        int or None
            0 where it is shown already; None where it never will be, since the mean is not above
            the margin, and where no label is known.
        """
        mean = self.mean
        if mean <= margin or self.n == 0:
            return None
        surplus = self.total - self.forgone - self.n * margin
        variance = max(self.squares / self.n - mean * mean, 0.0)
        each = variance + max(mean - LARGEST_CENTRE, 0.0) ** 2
        enough = -log(alpha)

        def is_shown(labels: int) -> bool:
            further = surplus + labels * (mean - margin)
            return log_e_value(further, self.about_better + labels * each) >= enough

        return _first(is_shown)

    def forgo(self, margin: float = 0.0) -> None:
        """Forget what speaks for the challenger, and keep what speaks against it.

        Used where a promotion was taken back: the challenger has to show anew that it is better.
        The sum of its differences is lowered to at most n times the margin, for the test of
        "better" alone; the sum of squares stays. The e-value grows with the former, so that it is
        now, and will be at every later time, at most what it would have been: the test stays
        valid without a share of alpha of its own, which a test that begins anew would need. The
        test of "worse" is as it was: if the sum were lowered there too, it would find the
        challenger worse than it is.
        """
        self.forgone = max(self.forgone, self.total - self.n * margin)


def _about(centre: float, n: int, total: float, squares: float) -> float:
    """Return the sum of squares about a centre: at least what the mean of the block alone gives.

    Rounding would otherwise make it too small where all differences are equal, even less than 0.
    """
    least = (total - n * centre) ** 2 / n
    return max(squares - centre * (2.0 * total - n * centre), least)


def _end(outside: float, inside: float, excludes: Callable[[float], bool]) -> float:
    """Return where values begin that are excluded; the value itself is excluded, or `outside`."""
    while abs(outside - inside) > _PRECISION:
        middle = (outside + inside) / 2.0
        if excludes(middle):
            outside = middle
        else:
            inside = middle
    return outside


def _first(holds: Callable[[int], bool]) -> int | None:
    """Return the first number from 0 at which something holds that holds from there on."""
    above = 0
    while not holds(above):
        above = 2 * above or 1
        if above > _NEVER:
            return None
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        if holds(middle):
            above = middle
        else:
            below = middle
    return above
