"""SF-OGD and PI: what both hold to, whatever the scores are."""

from __future__ import annotations

import json
import random
from math import inf, nan
from timeit import repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.certainty import steps
from millrace.models.certainty.conformal import Method, Threshold
from millrace.models.certainty.pi import ProportionalIntegral
from millrace.models.certainty.sf_ogd import ScaleFreeDescent
from tests.unit.models.certainty.oracle import published_thresholds

KINDS: dict[Method, type[Threshold]] = {
    Method.SF_OGD: ScaleFreeDescent,
    Method.PI: ProportionalIntegral,
}
SCORES = st.none() | st.floats(0) | st.sampled_from([0.0, 1.0, nan])
SERVED = st.none() | st.floats(0, 1e300)
PAIRS = st.lists(st.tuples(SCORES, SERVED), max_size=60)
COVERAGES = st.sampled_from([0.5, 0.8, 0.9, 0.99, 0.999])

both = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def normal(count: int, seed: int = 1, sigma: float = 1.0) -> list[float]:
    """Return how wrong predictions with normal errors are."""
    rng = random.Random(seed)
    return [abs(rng.gauss(0, sigma)) for _ in range(count)]


def serve(
    state: Threshold,
    scores: list[float],
    late: int = 0,
    coverage: float = 0.9,
    largest: float = steps.LARGEST,
) -> list[float | None]:
    """Return the thresholds that are in force where each score is known so many events later."""
    served: list[float | None] = []
    for number in range(len(scores)):
        if number > late:
            event = number - late - 1
            state.learn([scores[event]], [served[event]], coverage=coverage, largest=largest)
        served.append(state.threshold)
    return served


def hits(scores: list[float], served: list[float | None]) -> list[bool]:
    """Return which scores were covered, of those that had a threshold."""
    pairs = zip(scores, served, strict=True)
    return [score <= threshold for score, threshold in pairs if threshold is not None]


def share(values: list[bool]) -> float:
    """Return the share of those that are true."""
    return sum(values) / len(values)


@both
def test_nothing_is_known_before_the_first_score(kind: type[Threshold]) -> None:
    """And what is no score, or infinite, is not the first."""
    state = kind()
    state.learn([None, nan, inf], [None, None, None], coverage=0.9)
    assert state.threshold is None
    state.learn([2.0], [None], coverage=0.9)
    assert state.threshold == 6.0


@both
@given(pairs=PAIRS, cut=st.integers(0, 60), coverage=COVERAGES)
def test_it_makes_no_difference_where_events_are_cut(
    kind: type[Threshold], pairs: list[tuple[float | None, float | None]], cut: int, coverage: float
) -> None:
    """One by one, in two parts, or as a column: the same to the last bit."""
    one, parts, whole = kind(), kind(), kind()
    for score, served in pairs:
        one.learn([score], [served], coverage=coverage)
    for some in (pairs[:cut], pairs[cut:]):
        parts.learn([each for each, _ in some], [each for _, each in some], coverage=coverage)
    whole.learn([each for each, _ in pairs], [each for _, each in pairs], coverage=coverage)
    assert one == parts == whole


@both
@given(pairs=PAIRS, coverage=COVERAGES)
def test_a_threshold_is_finite_and_not_negative(
    kind: type[Threshold], pairs: list[tuple[float | None, float | None]], coverage: float
) -> None:
    """Whatever scores are: nothing, NaN, infinite, as large as floats are."""
    state = kind()
    for score, served in pairs:
        state.learn([score], [served], coverage=coverage)
        assert state.threshold is None or 0.0 <= state.threshold <= steps.LARGEST
        assert 0.0 <= state.scale <= steps.LARGEST
        assert 0.0 <= state.squares < inf


@both
@given(pairs=PAIRS, coverage=COVERAGES)
def test_it_is_saved_and_read(
    kind: type[Threshold], pairs: list[tuple[float | None, float | None]], coverage: float
) -> None:
    """Through JSON, too, with all its bits; what has not learned yet, too."""
    state = kind()
    state.learn([each for each, _ in pairs], [each for _, each in pairs], coverage=coverage)
    assert kind.from_fields(json.loads(json.dumps(state.to_fields()))) == state


def test_three_floats_are_kept_of_sf_ogd() -> None:
    """So that there can be one for each key; PI has a fourth."""
    assert [*ScaleFreeDescent().to_fields()] == ["threshold", "squares", "scale"]
    assert [*ProportionalIntegral().to_fields()] == ["threshold", "squares", "scale", "excess"]


@both
@pytest.mark.parametrize("unit", [2.0**-20, 2.0**30])
def test_scores_have_any_unit(kind: type[Threshold], unit: float) -> None:
    """Those that are a million times smaller have thresholds that are, bit for bit."""
    scores = normal(2_000)
    served = serve(kind(), scores, late=50)
    in_units = serve(kind(), [unit * each for each in scores], late=50)
    assert in_units == [None if each is None else unit * each for each in served]


def test_sf_ogd_is_the_published_one_where_nothing_is_forgotten_and_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the scale that the paper is given; the first gradient is that of a miss."""
    monkeypatch.setattr(steps, "_MEMORY", inf)
    monkeypatch.setattr(steps, "_PACE", 0.0)
    scores = [3.0 + each for each in normal(500)]
    served = serve(ScaleFreeDescent(scale=2.0, threshold=0.0), scores)
    assert served == pytest.approx(
        published_thresholds(scores, 0.9, pace=steps._STEP * 2.0, first=0.0)[:-1]
    )


@both
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("late", [0, 1_000])
def test_what_does_not_change_is_covered_as_wanted(
    kind: type[Threshold], coverage: float, late: int
) -> None:
    """Within a point, whether labels come at once or late."""
    scores = normal(10_000)
    found = hits(scores, serve(kind(), scores, late, coverage))
    assert share(found) == pytest.approx(coverage, abs=0.01)


@both
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_threshold_follows_a_change(kind: type[Threshold], factor: float) -> None:
    """Of the variance, to four times or a quarter: within a point, and never below 0.75 of 200."""
    scores = normal(5_000) + normal(5_000, seed=2, sigma=factor)
    found = hits(scores, serve(kind(), scores))
    assert share(found) == pytest.approx(0.9, abs=0.01)
    assert min(share(found[at : at + 200]) for at in range(len(found) - 200)) >= 0.75


def test_the_step_does_not_vanish() -> None:
    """After many labels, a change is found as fast as after few."""
    state = ScaleFreeDescent()
    scores = normal(60_000)
    state.learn(scores, [1.6] * len(scores), coverage=0.9)
    found = hits(*[(changed := normal(2_000, seed=2, sigma=2.0)), serve(state, changed)])
    assert min(share(found[at : at + 200]) for at in range(len(found) - 200)) >= 0.75


@both
def test_late_labels_do_not_make_a_threshold_swing(kind: type[Threshold]) -> None:
    """1,000 events late, it stays near where it should be, once the first labels have come."""
    scores = normal(10_000)
    settled = [each for each in serve(kind(), scores, late=1_000)[2_000:] if each is not None]
    assert 0.9 < min(settled) < 1.65 < max(settled) < 2.5


def test_the_published_gradient_swings_where_labels_are_late() -> None:
    """At the threshold that was served alone: it is why ours is another one."""
    scores, late = normal(4_000), 1_000
    thresholds, squares = [1.645] * (late + 1), 90.0
    for score, served in zip(scores, thresholds, strict=False):
        gradient = (score > served) - 0.1
        squares = squares * 0.999 + gradient**2
        thresholds.append(thresholds[-1] + 0.5 * 2.0 * gradient / squares**0.5)
    assert min(thresholds) < 0
    assert max(thresholds) > 5


def test_sf_ogd_does_not_rise_for_what_is_covered_now() -> None:
    """However many events were missed when they were served."""
    state = ScaleFreeDescent()
    state.learn(normal(1_000), [1.6] * 1_000, coverage=0.9)
    before = state.threshold
    assert before is not None
    state.learn([before / 2] * 1_000, [0.0] * 1_000, coverage=0.9)
    assert state.threshold == before


@pytest.mark.parametrize(
    ("coverage", "score", "served", "gradient"),
    [
        (0.9, 2.5, 2.0, 0.9),  # missed then and now
        (0.9, 2.5, None, 0.9),
        (0.9, 2.5, 2.5, 0.8),  # covered then, missed now
        (0.9, 2.0, 2.0, -0.1),  # covered then and now; a tie is covered
        (0.9, 2.0, None, -0.1),
        (0.5, 2.5, 3.0, 0.3),  # the threshold that was served has a weight of 0.2 at most
        (0.5, 1.5, 1.0, -0.3),  # missed then, covered now
    ],
)
def test_a_step_of_sf_ogd(
    coverage: float, score: float, served: float | None, gradient: float
) -> None:
    """By both thresholds: that of now, 2, and the one that was served."""
    state = ScaleFreeDescent(threshold=2.0, squares=80.0, scale=4.0)
    state.learn([score], [served], coverage=coverage)
    squares = 80.0 * (1 - (1 - coverage) / 100) + gradient**2
    scale = 4.0
    if score > 2.0:
        scale += 4.0 * 8.0 * gradient**2 / squares * (score - 4.0) / (score + 4.0)
    assert state.squares == pytest.approx(squares)
    assert state.scale == pytest.approx(scale)
    assert state.threshold == pytest.approx(2.0 + 0.75 * scale * gradient / squares**0.5)


def test_what_was_missed_and_would_be_covered_changes_nothing() -> None:
    """Where misses should be at most a fifth; the squares do not forget either."""
    state = ScaleFreeDescent(threshold=2.0, squares=80.0, scale=4.0)
    state.learn([1.5], [1.0], coverage=0.9)
    assert state == ScaleFreeDescent(threshold=2.0, squares=80.0, scale=4.0)


@both
@pytest.mark.parametrize(
    ("score", "threshold", "scale"), [(2.0, 6.0, 2.0), (-0.5, 0.0, 0.0), (1e305, 1e300, 1e300)]
)
def test_the_first_score(
    kind: type[Threshold], score: float, threshold: float, scale: float
) -> None:
    """The threshold is three times as large, and the sum of squares that of a miss."""
    state = kind()
    state.learn([score], [None], coverage=0.9)
    assert (state.threshold, state.squares) == (threshold, 0.9 * 0.9)
    assert state.scale == scale


@both
def test_an_infinite_score_moves_the_scale_as_far_as_any(kind: type[Threshold]) -> None:
    """As one that is far larger than the scale."""
    states = []
    for score in (1e200, inf):
        state = kind(threshold=2.0, squares=80.0, scale=4.0)
        state.learn([score], [2.0], coverage=0.9)
        states.append(state)
    assert states[0] == states[1]
    assert states[0].scale > 4.0


def test_pi_makes_up_for_what_was_missed() -> None:
    """After the variance has grown, with labels that are late: SF-OGD does not."""
    scores = normal(5_000) + normal(10_000, seed=2, sigma=2.0)
    of_sf_ogd, of_pi = (
        share(hits(scores, serve(kind(), scores, late=1_000))) for kind in KINDS.values()
    )
    assert of_sf_ogd < 0.889
    assert of_pi == pytest.approx(0.9, abs=0.01)


def test_the_excess_of_pi_is_bounded() -> None:
    """What was always right, or always wrong, is not held against what comes for ever."""
    state = ProportionalIntegral()
    state.learn([0.0] * 100_000, [1.0] * 100_000, coverage=0.9)
    assert state.excess == pytest.approx(-150)
    state.learn([2.0] * 1_000, [1.0] * 1_000, coverage=0.9)
    assert state.excess == 500


@both
def test_a_stream_without_errors_has_intervals_without_width(kind: type[Threshold]) -> None:
    """And errors that come later are found."""
    state = kind()
    assert serve(state, [0.0] * 3_000)[1:] == [0.0] * 2_999
    found = hits(*[(scores := normal(3_000)), serve(state, scores)])
    assert share(found[500:]) == pytest.approx(0.9, abs=0.05)


@both
def test_ties_are_covered_as_wanted_where_they_are_not_0(kind: type[Threshold]) -> None:
    """Whole numbers: the threshold goes to and fro between two of them."""
    scores = [float(round(2 * each)) for each in normal(10_000)]
    assert share(hits(scores, serve(kind(), scores))) == pytest.approx(0.9, abs=0.01)


@both
def test_heavy_tails_do_not_decide_how_large_a_step_is(kind: type[Threshold]) -> None:
    """Two in a hundred errors are a thousand times as large: the others decide."""
    scores = [1_000 * each if at % 50 == 7 else each for at, each in enumerate(normal(10_000))]
    served = serve(kind(), scores)
    assert share(hits(scores, served)) == pytest.approx(0.9, abs=0.01)
    assert max(each for each in served[1_000:] if each is not None) < 4


@both
def test_a_first_error_that_is_far_too_large_is_forgotten(kind: type[Threshold]) -> None:
    """A model that has learned nothing yet is wrong by a million."""
    served = serve(kind(), [1e6, *normal(1_000)])
    assert max(each for each in served[300:] if each is not None) < 4


@both
def test_a_model_that_is_always_sure_is_covered_by_all_classes_now_and_then(
    kind: type[Threshold],
) -> None:
    """Of two classes, its probabilities are 0 and 1, and it is right in 80 of 100 events."""
    rng = random.Random(1)
    scores = [float(rng.random() < 0.2) for _ in range(10_000)]
    served = serve(kind(), scores, largest=steps.LARGEST_OF_CLASSES)
    assert share(hits(scores, served)) == pytest.approx(0.9, abs=0.01)


@both
def test_an_unknown_class_is_a_miss_that_a_threshold_does_not_run_after(
    kind: type[Threshold],
) -> None:
    """No threshold covers it; those that follow are covered by a sensible one soon."""
    state = kind()
    state.learn([0.5] * 100, [0.6] * 100, coverage=0.9, largest=steps.LARGEST_OF_CLASSES)
    state.learn([inf] * 1_000, [1.0] * 1_000, coverage=0.9, largest=steps.LARGEST_OF_CLASSES)
    assert state.threshold == steps.LARGEST_OF_CLASSES


@both
def test_a_column_takes_less_than_a_microsecond_a_label(kind: type[Threshold]) -> None:
    """Ten times as much is allowed here, since other work may run on the machine."""
    scores, state = normal(10_000), kind()
    served = [1.6] * len(scores)
    seconds = min(repeat(lambda: state.learn(scores, served, coverage=0.9), number=1, repeat=5))
    assert seconds / len(scores) < 10e-6


def test_labels_in_the_order_of_events_do_not_bias() -> None:
    """Small errors are known at once, large ones late: in the order of the labels, too small.

    In the order of the events, the first threshold waits, and is right.
    """
    scores = normal(2_000)
    by_label, by_event = ScaleFreeDescent(), ScaleFreeDescent()
    known = [each for each in scores if each < 1.0]
    by_label.learn(known, [None] * len(known), coverage=0.9)
    by_event.learn(scores, [None] * len(scores), coverage=0.9)
    assert by_label.threshold is not None
    assert by_event.threshold is not None
    assert by_label.threshold < 1.05
    assert by_event.threshold > 1.3


@pytest.mark.parametrize("make", [ScaleFreeDescent, ProportionalIntegral])
def test_labels_that_come_before_the_next_prediction(make: Any) -> None:
    """Nothing served need be told: it is the threshold before each event."""
    rng = random.Random(4)
    scores = [None if rng.random() < 0.1 else abs(rng.gauss(0, 1)) for _ in range(500)]
    one, at_once = make(), make()
    served = []
    for score in scores:
        served.append(one.threshold)
        assert one.learn([score], [one.threshold], coverage=0.9) == served[-1:]
    assert at_once.learn(scores, None, coverage=0.9) == served
    assert at_once == one
