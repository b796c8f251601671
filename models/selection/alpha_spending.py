"""How the error probability of a lifetime is divided over tests that begin one after the other.

A test of a challenger against the champion may begin anew, after a promotion or a drift, without
an end to how often. So that the chance of any false promotion stays below alpha, each round of
tests has a share of it, and the shares of all rounds, of which there may be any number, add up to
alpha.
"""

from __future__ import annotations

from math import pi


def alpha_share(alpha: float, round_number: int, challengers: int) -> float:
    """Return the error probability that each test of a round may have.

    The shares alpha * 6 / (pi^2 j^2) of rounds j = 1, 2, ... add up to alpha (Euler's sum of the
    inverse squares), and a round divides its own between its tests (Bonferroni's inequality).
    How many challengers there are may depend on all that was seen before the round.

    Parameters
    ----------
    alpha
        Probability that any test of all rounds errs, in (0, 1).
    round_number
        1 for the first round.
    challengers
        How many tests begin in this round; 1 or more.

    Returns
    -------
    float
        A test of this round rejects where its e-value is 1 over this, or more.

    Raises
    ------
    ValueError
        A round or a number of challengers below 1.

    Examples
    --------
    >>> [round(alpha_share(0.05, number, challengers=2), 5) for number in (1, 2, 3)]
    [0.0152, 0.0038, 0.00169]
    """
    for name, value in [("round_number", round_number), ("challengers", challengers)]:
        if value < 1:
            raise ValueError(f"{name} must be 1 or more; got {value!r}")
    return alpha * 6.0 / (pi * round_number) ** 2 / challengers
