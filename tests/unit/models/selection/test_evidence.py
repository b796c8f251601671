"""The evidence of one challenger: what is kept of blocks, and what is said of it."""

from __future__ import annotations

import json
import random
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.selection.e_process import LARGEST_CENTRE, log_e_value
from millrace.models.selection.evidence import Evidence

BLOCKS = st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=20), max_size=12)
MARGINS = st.floats(-0.2, 0.2)


def add(evidence: Evidence, differences: list[float]) -> None:
    """Add a block of events, given by its differences."""
    evidence.add(len(differences), sum(differences), sum([each**2 for each in differences]))


def of(*blocks: list[float]) -> Evidence:
    """Return the evidence of several blocks."""
    evidence = Evidence()
    for block in blocks:
        add(evidence, block)
    return evidence


def coin(gain: float, variance: float, labels: int, seed: int = 1) -> Evidence:
    """Return evidence of differences -1, 0 and 1 with this mean and, about, this variance."""
    rng, better = random.Random(seed), (variance + gain) / 2
    worse = better - gain
    values = rng.choices([1.0, -1.0, 0.0], [better, worse, 1 - better - worse], k=labels)
    return of(*[values[start : start + 100] for start in range(0, labels, 100)])


def test_nothing_is_known_at_first():
    """Neither direction is likely, and the mean may be anything."""
    evidence = Evidence()
    assert (evidence.n, evidence.mean) == (0, 0.0)
    assert (evidence.log_e(), evidence.log_e_worse(0.01)) == (0.0, 0.0)
    assert evidence.interval(0.05) == (-1.0, 1.0)
    assert evidence.labels_needed(0.05) is None


def test_the_first_block_is_centred_at_0_and_the_next_at_the_mean_of_the_first():
    """So that a centre never knows what it is the centre of."""
    evidence = of([0.5, -0.5, 0.2, 0.0])
    assert evidence.about_better == evidence.about_worse == pytest.approx(0.54)
    add(evidence, [1.0, 0.0])
    assert evidence.about_better == pytest.approx(0.54 + 0.95**2 + 0.05**2)
    assert evidence.about_worse == evidence.about_better
    assert (evidence.n, evidence.total, evidence.squares) == (6, 1.2, pytest.approx(1.54))
    assert evidence.mean == pytest.approx(0.2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_centre_is_bounded_on_the_side_of_the_direction(sign):
    """Above for the test of "better", below for that of "worse"."""
    evidence = of([0.5 * sign], [0.5 * sign])
    sums = (evidence.about_better, evidence.about_worse)
    bounded, free = sums if sign > 0 else sums[::-1]
    assert bounded == pytest.approx(0.25 + (0.5 - LARGEST_CENTRE) ** 2)
    assert free == pytest.approx(0.25)


@given(blocks=BLOCKS, margin=MARGINS)
def test_the_directions_mirror_each_other(blocks, margin):
    """That the champion is worse than the challenger is the same as the other way round."""
    mirrored = [[-each for each in block] for block in blocks]
    assert of(*mirrored).log_e_worse(margin) == pytest.approx(of(*blocks).log_e(margin), abs=1e-9)


@given(blocks=BLOCKS, margin=MARGINS)
def test_the_e_value_is_that_of_the_sums(blocks, margin):
    """Of the differences less the margin, about the centres of the blocks."""
    seen: list[float] = []
    squares = 0.0
    for block in blocks:
        centre = min(sum(seen) / len(seen), LARGEST_CENTRE) if seen else 0.0
        squares += sum([(each - centre) ** 2 for each in block])
        seen += block
    expected = log_e_value(sum(seen) - margin * len(seen), squares)
    assert of(*blocks).log_e(margin) == pytest.approx(expected, abs=1e-7)


@given(blocks=BLOCKS, margin=MARGINS, more=st.floats(0, 0.1))
def test_a_larger_margin_is_harder_to_show(blocks, margin, more):
    """In both directions."""
    evidence = of(*blocks)
    assert evidence.log_e(margin + more) <= evidence.log_e(margin) + 1e-9
    assert evidence.log_e_worse(margin + more) <= evidence.log_e_worse(margin) + 1e-9


def test_an_empty_block_changes_nothing():
    """A block in which no event got a label."""
    evidence = of([0.1, 0.2])
    before = evidence.to_fields()
    evidence.add(0, 0.0, 0.0)
    assert evidence.to_fields() == before


@pytest.mark.parametrize(
    ("n", "total", "squares"),
    [
        (10, 10.1, 10.0),
        (10, -10.1, 10.0),
        (10, 0.0, 10.1),
        (10, 0.0, -0.1),
        (0, 0.5, 0.0),
        (10, float("nan"), 1.0),
        (10, 0.0, float("nan")),
        (10, float("inf"), 1.0),
    ],
)
def test_sums_of_unbounded_losses_are_refused(n, total, squares):
    """The test would promise what it cannot keep; nothing is changed."""
    evidence = of([0.1, 0.2])
    before = evidence.to_fields()
    with pytest.raises(ValueError, match="must be sums of differences in"):
        evidence.add(n, total, squares)
    assert evidence.to_fields() == before


def test_sums_may_be_rounded():
    """Ten times 0.1 is not 1, and a sum of squares may be a little below 0."""
    evidence = Evidence()
    evidence.add(10, sum([0.1] * 100), 10 + 1e-12)
    assert evidence.n == 10
    evidence = Evidence()
    evidence.add(10, 0.0, -1e-12)
    assert (evidence.n, evidence.about_better, evidence.about_worse) == (10, 0.0, 0.0)


@pytest.mark.parametrize("loss", [0.1, 0.3, 1 / 3, 0.7, 1.0])
def test_equal_differences_have_no_squares_about_their_mean(loss):
    """A constant loss: rounding makes the sum about the centre neither negative nor too small."""
    evidence = of([-loss] * 100)
    for _ in range(1_000):
        add(evidence, [-loss] * 100)
        assert evidence.about_better >= 100 * loss**2 * (1 - 1e-9)
    assert evidence.about_better == pytest.approx(100 * loss**2, rel=1e-6)


def test_a_constant_loss_promotes_nobody():
    """A challenger that is always worse is found worse at once, and never better."""
    evidence = Evidence()
    for _ in range(2_000):
        add(evidence, [-1.0] * 10)
        assert evidence.log_e() < -0.9
    assert evidence.log_e_worse() > 1_000
    assert evidence.labels_needed(0.05) is None


def test_a_constant_gain_is_found_within_20_labels():
    """A challenger that is right wherever the champion is wrong, which is always."""
    evidence = Evidence()
    while evidence.log_e() < log(20):
        add(evidence, [1.0])
    assert evidence.n <= 20


def test_equal_models_are_never_told_apart():
    """Differences of 0 say nothing, however many there are, but that a margin is not reached."""
    evidence = of([0.0] * 1_000_000)
    assert (evidence.log_e(), evidence.log_e_worse()) == (0.0, 0.0)
    assert evidence.log_e(0.01) < evidence.log_e(0.001) < -1
    lower, upper = evidence.interval(0.05)
    assert -0.001 < lower < 0 < upper < 0.001


class TestInterval:
    """Between which values the mean difference is."""

    @pytest.mark.parametrize(
        ("gain", "variance"), [(0.03, 0.3), (-0.03, 0.1), (0.0, 0.2), (0.4, 0.5)]
    )
    def test_its_ends_are_the_margins_that_are_just_refuted(self, gain, variance):
        """Each at half of alpha: a margin a little further inside is not."""
        evidence, enough = coin(gain, variance, 5_000), log(2 / 0.05)
        lower, upper = evidence.interval(0.05)
        assert lower < evidence.mean < upper
        assert evidence.log_e(lower) >= enough > evidence.log_e(lower + 2e-6)
        assert evidence.log_e_worse(-upper) >= enough > evidence.log_e_worse(-upper + 2e-6)

    def test_it_narrows_with_labels_and_widens_with_certainty(self):
        """As one over the root, or a little slower."""
        widths = [
            upper - lower
            for lower, upper in [coin(0.02, 0.2, n).interval(0.05) for n in (1_000, 100_000)]
        ]
        assert 7 < widths[0] / widths[1] < 10
        low, high = coin(0.02, 0.2, 1_000).interval(0.01)
        assert high - low > widths[0]

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_it_stays_within_what_is_possible(self, sign):
        """After one label, a mean of 1 is not refuted by any."""
        assert of([sign]).interval(0.05) == (-1.0, 1.0)


class TestLabelsNeeded:
    """How many labels are missing until a gain is shown."""

    @pytest.mark.parametrize(
        ("gain", "variance", "margin"),
        [(0.03, 0.3, 0.0), (0.05, 0.1, 0.01), (0.01, 0.05, 0.0), (0.25, 0.4, 0.0)],
    )
    def test_the_gain_is_shown_after_as_many_labels_that_are_alike(self, gain, variance, margin):
        """And not before: as if the same block came again and again."""
        evidence = Evidence()
        while evidence.labels_needed(1e-4, margin) is None:
            evidence.add(100, 100 * gain, 100 * (variance + gain**2))
        needed = evidence.labels_needed(1e-4, margin)
        while evidence.log_e(margin) < log(1e4):
            evidence.add(1, gain, variance + gain**2)
        assert needed == pytest.approx(evidence.n - 100, rel=0.01, abs=2)

    def test_what_is_shown_needs_none(self):
        """And what almost is needs one."""
        evidence = of([1.0] * 100)
        assert evidence.labels_needed(0.05) == 0
        threshold = evidence.log_e() + 1e-6
        assert evidence.labels_needed(2.718281828459045**-threshold) == 1

    @pytest.mark.parametrize("margin", [0.25, 0.26])
    def test_a_gain_of_no_more_than_the_margin_is_never_shown(self, margin):
        """However many labels there will be."""
        assert of([0.25] * 10).labels_needed(0.05, margin) is None

    def test_a_gain_that_would_take_longer_than_anybody_waits_is_never_shown(self):
        """A mean above 0 by rounding is no gain."""
        assert of([1.0, -1.0 + 1e-12]).labels_needed(0.05) is None

    def test_millions_of_labels_may_be_needed(self):
        """A gain of a twentieth of a point is one: the labels go as one over its square."""
        evidence = Evidence()
        evidence.add(10_000, 5.0, 2_000.0)
        needed = evidence.labels_needed(0.05)
        assert needed is not None
        assert 5e6 < needed < 2e7

    def test_no_label_says_nothing_of_how_many_are_needed(self):
        """Not even where the margin is below 0, so that a challenger may be a little worse."""
        assert Evidence().labels_needed(0.05, margin=-0.01) is None

    @given(blocks=BLOCKS, alpha=st.floats(1e-6, 0.5), margin=MARGINS)
    def test_it_is_0_where_and_only_where_the_gain_is_shown(self, blocks, alpha, margin):
        """It never contradicts the e-value."""
        evidence = of(*blocks)
        is_shown = evidence.log_e(margin) >= -log(alpha)
        assert (evidence.labels_needed(alpha, margin) == 0) == is_shown


class TestForgo:
    """A challenger whose promotion was taken back has to show anew that it is better."""

    def test_what_speaks_for_it_is_forgotten(self):
        """It needs labels again, more than the first time."""
        evidence = coin(0.1, 0.2, 3_000)
        assert evidence.log_e() > 5
        evidence.forgo()
        assert evidence.log_e() < 0
        needed = evidence.labels_needed(0.05)
        assert needed is not None
        first = next(n for n in range(100, 3_000, 100) if coin(0.1, 0.2, n).log_e() > log(20))
        assert first < needed < 3_000

    def test_what_speaks_against_it_is_kept(self):
        """A challenger that is behind stays as far behind."""
        evidence = coin(-0.1, 0.2, 1_000)
        before = evidence.log_e()
        evidence.forgo()
        assert evidence.log_e() == before

    def test_mean_interval_and_the_other_direction_stay(self):
        """They say what is true, and are not made to say that the challenger is worse."""
        evidence = coin(0.1, 0.2, 3_000)
        before = (evidence.mean, evidence.interval(0.05), evidence.log_e_worse(0.01))
        evidence.forgo(0.01)
        assert (evidence.mean, evidence.interval(0.05), evidence.log_e_worse(0.01)) == before

    @given(before=BLOCKS, after=BLOCKS, margin=MARGINS, asked=MARGINS)
    def test_the_e_value_is_never_larger_than_without(self, before, after, margin, asked):
        """Now or later, at any margin: so the test stays valid."""
        evidence = of(*before)
        evidence.forgo(margin)
        for block in after:
            add(evidence, block)
        assert evidence.log_e(asked) <= of(*before, *after).log_e(asked)

    @given(blocks=BLOCKS, margin=MARGINS)
    def test_twice_is_as_once(self, blocks, margin):
        """And no more than what there is up to the margin counts afterwards."""
        evidence = of(*blocks)
        evidence.forgo(margin)
        once = evidence.to_fields()
        evidence.forgo(margin)
        assert evidence.to_fields() == once
        assert evidence.log_e(margin) <= 1e-9

    def test_later_losses_do_not_give_back_what_was_forgone(self):
        """A second rollback lowers further, or not at all."""
        evidence = of([0.5] * 100)
        evidence.forgo()
        add(evidence, [-0.5] * 50)
        evidence.forgo()
        assert evidence.forgone == 50
        add(evidence, [1.0] * 50)
        evidence.forgo()
        assert evidence.forgone == 75


def test_it_is_saved_as_plain_data():
    """What is read goes on as if nothing had happened."""
    evidence = coin(0.05, 0.2, 700)
    evidence.forgo()
    read = Evidence.from_fields(json.loads(json.dumps(evidence.to_fields())))
    for each in (evidence, read):
        add(each, [0.25, -0.75, 1.0])
    assert read == evidence
    assert read.log_e() == evidence.log_e()


def test_what_was_saved_without_a_field_is_read():
    """A field that is added later has a default."""
    assert Evidence.from_fields({"n": 1, "total": 1.0}) == Evidence(n=1, total=1.0)


def test_in_each_others_places() -> None:
    """What spoke for the one speaks for the other; turned twice, it is what it was."""
    evidence = Evidence()
    for total in (8.0, 3.0, -1.0):
        evidence.add(100, total, 20.0)
    turned = evidence.turned()
    assert (turned.mean, turned.n) == (-evidence.mean, 300)
    assert turned.log_e() == evidence.log_e_worse()
    assert turned.log_e_worse() == evidence.log_e()
    assert turned.turned() == evidence
