"""What share of alpha a test has, among those of its round and the rounds that may follow."""

from __future__ import annotations

import pytest

from millrace.models.selection.alpha_spending import alpha_share


@pytest.mark.parametrize("alpha", [0.05, 0.5])
def test_all_rounds_together_have_alpha(alpha):
    """Their shares never add up to more, and leave nothing unused."""
    spent = sum([alpha_share(alpha, number, 1) for number in range(1, 100_000)])
    assert alpha * 0.9999 < spent < alpha


def test_a_round_divides_its_share_between_its_challengers():
    """Each of three has a third."""
    assert 3 * alpha_share(0.05, 2, 3) == pytest.approx(alpha_share(0.05, 2, 1))


def test_the_first_round_has_most():
    """Six tenths, and the second a quarter of that."""
    assert alpha_share(1.0, 1, 1) == pytest.approx(0.6079271)
    assert alpha_share(1.0, 2, 1) == pytest.approx(0.6079271 / 4)


@pytest.mark.parametrize(
    ("number", "challengers", "error"),
    [
        (0, 1, "round_number must be 1 or more; got 0"),
        (-1, 1, "round_number must be 1 or more; got -1"),
        (1, 0, "challengers must be 1 or more; got 0"),
    ],
)
def test_rounds_and_challengers_are_counted_from_1(number, challengers, error):
    """A round 0 would have all of alpha and more."""
    with pytest.raises(ValueError, match=error):
        alpha_share(0.05, number, challengers)
