"""A small part of the study of certainty: one stream of each kind."""

from __future__ import annotations

import pytest

from tests.study.certainty import FEEDBACK, Row, main, measure, rows, serve
from tests.study.residuals import CLASSES, NUMBERS, Stream
from tests.study.rivals import RollingQuantile

OURS = ("sf_ogd", "pi")
CHANGING = ("linear, variance x4", "tree, x4 for a while", "3 classes, softmax")
EVENTS = 10_000


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str, str], Row]:
    """Return what was found, by stream, feedback and method."""
    methods = ("rolling quantile", "ACI", "SF-OGD as published", *OURS)
    every = rows(CHANGING, seeds=1, events=EVENTS, methods=methods)
    return {(each.stream, each.feedback, each.method): each for each in every}


@pytest.mark.parametrize("method", OURS)
@pytest.mark.parametrize("stream", CHANGING)
def test_labels_at_once(found: dict[tuple[str, str, str], Row], stream: str, method: str) -> None:
    """Within a point, never below 0.75 of 200, and at most 5 % wider than the narrowest."""
    row = found[stream, "at once", method]
    others = [each for each in found.values() if each[:2] == (stream, "at once")]
    narrowest = min(each.size for each in others if abs(each.coverage - 0.9) <= 0.01)
    assert row.coverage == pytest.approx(0.9, abs=0.01)
    assert row.worst >= 0.75
    assert row.size <= 1.05 * narrowest


@pytest.mark.parametrize("stream", CHANGING)
def test_labels_that_are_late(found: dict[tuple[str, str, str], Row], stream: str) -> None:
    """PI covers as wanted; SF-OGD loses what nobody can know yet, and swings no more than it."""
    sf_ogd, by_pi = (found[stream, "1,000 late", method] for method in OURS)
    quantile = found[stream, "1,000 late", "rolling quantile"]
    assert by_pi.coverage == pytest.approx(0.9, abs=0.01)
    assert 0.84 < sf_ogd.coverage < 0.9
    assert sf_ogd.size <= 1.05 * quantile.size
    assert sf_ogd.worst > quantile.worst - 0.1
    assert found[stream, "1,000 late", "SF-OGD as published"].worst < 0.5


@pytest.mark.parametrize("method", OURS)
@pytest.mark.parametrize("stream", CHANGING)
def test_blocks(found: dict[tuple[str, str, str], Row], stream: str, method: str) -> None:
    """Within a point; a block that begins with the change is missed as a whole."""
    row = found[stream, "blocks of 100", method]
    assert row.coverage == pytest.approx(0.9, abs=0.01)
    assert row.worst >= 0.65


def test_no_label_is_seen_too_early() -> None:
    """An event is served with what was known before it, so many events late and in blocks."""
    scores = [float(each) for each in range(400)]
    for feedback in FEEDBACK.values():
        served = serve(scores, Newest(), feedback)
        for event, newest in enumerate(served):
            known = max(event - feedback.late, 0) // feedback.block * feedback.block
            assert newest == (known - 1 if known else None)


class Newest:
    """Serves the newest score that it knows."""

    threshold: float | None = None

    def learn(self, score: float, served: float | None) -> None:
        self.threshold = score


def test_the_worst_are_200_in_a_row() -> None:
    """And the width is twice the threshold."""
    of = Stream([0.0] * 300 + [2.0] * 100 + [0.0] * 300, 1e300, [])
    assert measure(of, [None, *[1.0] * 699]) == (599 / 699, 0.5, 2.0)


def test_a_rolling_quantile_is_of_the_newest() -> None:
    """The score of rank ceil((n + 1) * coverage)."""
    quantile = RollingQuantile(0.9, window=19)
    for score in range(100):
        quantile.learn(float(score), None)
    assert quantile.threshold == 98.0


def test_the_table_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command that the documentation names, with a row for each method."""
    few = ["--streams", "linear, steady", "--methods", *OURS, "--seeds", "1", "--events", "2000"]
    monkeypatch.setattr("sys.argv", ["certainty", *few])
    main()
    printed = capsys.readouterr().out
    assert printed.count("sf_ogd") == printed.count("linear, steady") / 2 == 3


def test_all_kinds_of_streams_are_there() -> None:
    """Two models on four courses, heavy tails, and two classifiers."""
    assert (len(NUMBERS), len(CLASSES)) == (9, 2)
