"""The e-value of "better on average", from two sums: the mathematics of a test without an end.

Champion and challenger predict the same events. The difference of their losses at event i is
d_i = (loss of the champion) - (loss of the challenger), in [-1, 1] since losses are in [0, 1].

*The null*, which the test refutes: at every time, the running average of E[d_i | past] is at most
`margin`. Nothing else is assumed: neither independence, nor that anything stays as it is. What is
refuted is about the events that were seen: a challenger that is better by day and worse by night
is better on average so far on the evening of the first day, and may be found so. No test of what
was can tell a lead that lasts from one that comes and goes: a margin and a probation are for that.

*One bet.* Centres g_i may depend on the past only, and are at most `LARGEST_CENTRE`. So
y_i = d_i - g_i is never below -c, with c = 1 + `LARGEST_CENTRE`. For l in [0, 1/c) and
psi(l) = (-log(1 - c l) - c l) / c^2, Fan's inequality exp(l y - psi(l) y^2) <= 1 + l y, y >= -c,
makes exp(l sum(d_i - E[d_i | past]) - psi(l) sum y_i^2) a supermartingale that starts at 1. Under
the null, sum d_i - n margin is at most the first of these sums. So the chance that
exp(l s - psi(l) v) ever reaches 1/alpha is at most alpha, with s = sum d_i - n margin and
v = sum (d_i - g_i)^2.

*All bets at once.* Which l is best depends on the unknown gain, so that the capital is spread over
all of them. With u = 1 - c l, the exponent is (1 - u) (c s + v) / c^2 + (v / c^2) log u; with the
density of u in (0, 1] proportional to u^(r - 1) exp(-r u), r = rho / c^2, the mixture is
I(s, v) / I(0, 0), where ::

    I(s, v) = exp((c s + v) / c^2) * integral from 0 to 1 of u^(a - 1) exp(-u x) du
    a = (v + rho) / c^2,  x = (c s + v + rho) / c^2

The integral is an incomplete gamma function. It is computed as what it is, by quadrature: its
integrand is log-concave for all real x once a >= 1, and smooth, so that Gauss and Legendre's rule
on the part that counts gives 13 digits in the time of some 50 exponentials, whatever s and v are.
Series and continued fractions take of the order of sqrt(a) steps where x is near a, which is where
a test is undecided, and have to be joined where the one underflows and the other begins.

*The two constants* were chosen by how many labels a test takes, at alpha 0.05, for gains of 1 to 5
points (0.01 to 0.05) at variances of d of 0.05 to 0.3. `LARGEST_CENTRE`: a larger one costs, since
c grows; a smaller one counts a large gain as variance. With 0.1, a test takes at most 1 % more
labels than with the best for each of these gains, or for gains of 15 to 30 points. `RHO` says for
which v the test is sharpest. It follows the rule that Howard et al. give for the normal mixture,
and use for this one: for one side, alpha 0.05 and v = 250, about the geometric middle of the v at
which those tests end (10 to 8,000). That suits a gain of 2 points at a variance of 0.1, or of 3 at
0.2. Elsewhere the test takes up to a quarter more labels than one that is tuned for the case; at
the corners a third more (1 point at 0.3) and half as many more (5 points at 0.05: 390 labels
instead of 260).

Sources: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic
confidence sequences", Annals of Statistics 49 (2021), arXiv 1810.08240: theorem 4 (the bet, with
predictable centres), proposition 9 (the mixture), and how to tune one. Choe and Ramdas,
"Comparing sequential forecasters", Operations Research 72 (2024), arXiv 2110.00115: the null, and
the test of two forecasters. Fan, Grama and Liu, "Exponential inequalities for martingales with
applications", Electronic Journal of Probability 20 (2015): the inequality.
"""

from __future__ import annotations

from math import cos, exp, hypot, log, log1p, pi, sqrt

LARGEST_CENTRE = 0.1
"""Centres of the differences are at most this; the mirrored ones, too."""

_C = 1.0 + LARGEST_CENTRE
_TUNED_FOR = 250.0  # sum of squares at which the test is sharpest
_TUNED_ALPHA = 0.05
_TWO_LOGS = 2.0 * log(1.0 / (2.0 * _TUNED_ALPHA))

RHO = _TUNED_FOR / (_TWO_LOGS + log1p(_TWO_LOGS))
"""Parameter of the mixture, in units of the sum of squares: about 39.5."""

_NATS = 40.0  # what is lower than the peak by more than this adds nothing to a float


def log_e_value(surplus: float, squares: float) -> float:
    """Return the logarithm of the e-value of "better by more than the margin".

    Parameters
    ----------
    surplus
        s, the sum of the differences less n times the margin; any real number.
    squares
        v, the sum of the squares of the differences about their centres; 0 or more. The centres
        are of earlier events only and at most `LARGEST_CENTRE`.

    Returns
    -------
    float
        In nats; 0 at the start, larger where the surplus is larger. It is to be compared with
        -log(alpha). It may be below 0 without bound, and is never clamped.

    Examples
    --------
    >>> log_e_value(0.0, 0.0)
    0.0
    >>> round(log_e_value(surplus=80.0, squares=800.0), 3), round(log_e_value(-80.0, 800.0), 3)
    (2.678, -2.911)
    """
    return _log_integral((squares + RHO) / _C**2 - 1.0, surplus / _C + 1.0) - _LOG_START


def _log_integral(order: float, tilt: float) -> float:
    """Return the logarithm of I(s, v), but for a constant: rho / c^2.

    That is of the integral from 0 to 1 of u^m exp(x (1 - u)) du, with m = a - 1 and x = m + tilt.
    Its peak is at u = p = min(1, m / x). With u = p (1 - y), it is exp(top) p times the integral of
    exp(m log(1 - y) + k y) dy, k = min(x, m), over y from 1 - 1/p to 1. What counts is where the
    exponent is above -40. By log(1 - y) + y <= -y^2 / 2 on the right, and by
    log(1 + z) - z <= -z^2 / (2 (1 + z)) with z = -y on the left, this ends at `right` and `left`.
    """
    above = max(tilt, 0.0) / order
    top = order * (above - log1p(above))
    slope = max(-tilt, 0.0)
    right = min(1.0, 2.0 * _NATS / (slope + hypot(slope, sqrt(2.0 * order * _NATS))))
    area = _area(order, order - slope, right)
    if above:
        ratio = _NATS / order
        left = min(above, ratio + sqrt(ratio * (ratio + 2.0)))
        area -= _area(order, order, -left)
    return top - log1p(above) + log(area)


def _area(order: float, k: float, end: float) -> float:
    """Return the integral of exp(order log(1 - y) + k y) dy from 0 to `end`."""
    k *= end
    return end * sum([weight * exp(order * log1p(-end * y) + k * y) for y, weight in _NODES])


def _gauss_legendre(n: int) -> list[tuple[float, float]]:
    """Return the n places in (0, 1), and their weights, that integrate polynomials below 2n.

    By Newton's method on the Legendre polynomial, from Tricomi's places: Press et al., Numerical
    Recipes, section 4.6.

    Examples
    --------
    >>> [(round(place, 4), round(weight, 4)) for place, weight in _gauss_legendre(3)]
    [(0.1127, 0.2778), (0.5, 0.4444), (0.8873, 0.2778)]
    """
    nodes = []
    for i in range(n):
        z = -cos(pi * (i + 0.75) / (n + 0.5))
        for _ in range(8):
            before, now = 1.0, z
            for j in range(2, n + 1):
                before, now = now, ((2 * j - 1) * z * now - (j - 1) * before) / j
            derivative = n * (z * now - before) / (z * z - 1.0)
            z -= now / derivative
        nodes.append(((1.0 + z) / 2.0, 1.0 / ((1.0 - z * z) * derivative * derivative)))
    return nodes


_NODES = _gauss_legendre(24)
_LOG_START = _log_integral(RHO / _C**2 - 1.0, 1.0)
