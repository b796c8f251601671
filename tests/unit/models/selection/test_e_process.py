"""The e-value: what it is, to the last digits, and that it is fair."""

from __future__ import annotations

import subprocess
import sys
from math import exp, isfinite

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import simpson

from millrace.models.selection.e_process import LARGEST_CENTRE, RHO, log_e_value

C = 1.0 + LARGEST_CENTRE
GRID = np.linspace(0.0, 1.0, 20_001)


def log_integral(surplus: float, squares: float) -> float:
    """Return the logarithm of the bets' capital, integrated over all bets in log space.

    A bet is l = (1 - u) / c. The integrand is log-concave in u: the part within 60 nats of the
    peak is found step by step, and Simpson's rule taken on it.
    """

    def log_capital(u):
        with np.errstate(divide="ignore"):
            log_u = np.log(u)
        bet = (1.0 - u) / C
        psi = (-log_u - C * bet) / C**2
        with np.errstate(invalid="ignore"):
            capital = bet * surplus - (psi * squares if squares else 0.0)
            density = (RHO / C**2 - 1.0) * log_u - RHO / C**2 * u
            return np.where(u > 0, capital + density, -np.inf)

    low, high = 0.0, 1.0
    while True:
        u = low + (high - low) * GRID
        values = log_capital(u)
        near = np.flatnonzero(values > values.max() - 60.0)
        first, last = max(near[0] - 1, 0), min(near[-1] + 1, len(u) - 1)
        if last - first > len(u) / 2:
            break
        low, high = u[first], u[last]
    return float(values.max() + np.log(simpson(np.exp(values - values.max()), x=u)))


SURPLUSES = [0.0, 0.01, 1.0, 5.0, 30.0, 100.0, 1e3, 1e4, 1e5, 1e6]


@pytest.mark.parametrize("squares", [0.0, 1e-3, 0.5, 10.0, 40.0, 250.0, 2e3, 3e4, 1e5, 1e6])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_is_the_mixture_of_all_bets(squares, sign):
    """As integrated numerically over the bets, for anything from hopeless to overwhelming."""
    for surplus in SURPLUSES:
        expected = log_integral(sign * surplus, squares) - log_integral(0.0, 0.0)
        found = log_e_value(sign * surplus, squares)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-8), surplus


@pytest.mark.parametrize("distance", [-10.0, -3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 10.0])
def test_it_is_exact_where_a_test_is_undecided(distance):
    """A surplus of a few standard deviations, among many labels, is where series are slow."""
    for squares in (30.0, 1e3, 1e5, 1e6):
        surplus = distance * squares**0.5
        expected = log_integral(surplus, squares) - log_integral(0.0, 0.0)
        assert log_e_value(surplus, squares) == pytest.approx(expected, rel=1e-9, abs=1e-8)


def test_it_is_1_at_the_start():
    """No capital is won or lost before the first bet, not even by rounding."""
    assert log_e_value(0.0, 0.0) == 0.0


@given(surplus=st.floats(-1e6, 1e6), more=st.floats(1e-6, 1e3), squares=st.floats(0, 1e6))
def test_it_grows_with_the_surplus(surplus, more, squares):
    """On the whole line, without a plateau where something underflows."""
    more *= 1.0 + abs(surplus)
    assert log_e_value(surplus + more, squares) > log_e_value(surplus, squares)


@given(surplus=st.floats(-100, 1e6), squares=st.floats(0, 1e6), more=st.floats(0.001, 1e6))
def test_it_falls_with_the_squares(surplus, squares, more):
    """The same surplus says less among differences that vary more."""
    more *= 1.0 + squares / 1e3
    assert log_e_value(surplus, squares + more) < log_e_value(surplus, squares)


@given(
    surplus=st.floats(-300, 300),
    squares=st.floats(0, 2_000),
    centre=st.floats(-1, LARGEST_CENTRE),
    up=st.floats(1e-3, 1),
    down=st.floats(1e-3, 1),
)
def test_no_fair_bet_gains(surplus, squares, centre, up, down):
    """The expected e-value after a difference with mean 0 is at most that before: Ville's test."""
    now = log_e_value(surplus, squares)
    won = exp(log_e_value(surplus + up, squares + (up - centre) ** 2) - now)
    lost = exp(log_e_value(surplus - down, squares + (-down - centre) ** 2) - now)
    assert (down * won + up * lost) / (up + down) <= 1.0 + 1e-12


@pytest.mark.parametrize("surplus", [-1e300, -1e15, 1e15, 1e300])
@pytest.mark.parametrize("squares", [0.0, 1e15])
def test_it_is_finite_for_all_finite_sums(surplus, squares):
    """Nothing overflows, however long the log is."""
    assert isfinite(log_e_value(surplus, squares))


def test_a_challenger_that_always_loses_is_ever_less_likely():
    """Its e-value is never clamped: with a constant loss, the argument x is below 0."""
    values = [log_e_value(-float(n), 0.0) for n in (100, 1_000, 10_000, 1_000_000)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < -9


def test_it_needs_nothing_but_the_standard_library():
    """A process that only decides starts without SciPy and River."""
    code = (
        "import sys, millrace.models.selection.evidence, millrace.models.selection.alpha_spending;"
        "print(*{'numpy', 'scipy', 'river', 'pandas'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "\n"
