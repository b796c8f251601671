"""Samples are read from a worker's `/metrics`, and selected by their labels."""

from __future__ import annotations

import pytest

from millrace.streams.observability.scraping import Samples

TEXT = """\
# TYPE made counter
made_total{what="pig",size="big"} 2.0
made_total{what="pig",size="small"} 3.0
made_total{what="cat",size="big"} 0.1000000000000000055
# TYPE up gauge
up 1.0
"""


@pytest.fixture
def samples():
    return Samples.parse(TEXT)


def test_samples_are_selected_by_their_labels(samples):
    """A sample may have more labels than are asked for."""
    assert [value for _, value in samples.select("made_total", what="pig")] == [2.0, 3.0]
    assert [value for _, value in samples.select("made_total", what="pig", size="big")] == [2.0]
    assert [*samples.select("made_total", what="cow")] == []
    assert [*samples.select("nothing")] == []
    ((labels, _),) = samples.select("made_total", what="cat")
    assert labels == {"what": "cat", "size": "big"}


def test_values_are_added_up(samples):
    """All of them, or those with some labels; without any it is 0."""
    assert samples.total("made_total") == pytest.approx(5.1)
    assert samples.total("made_total", size="big") == pytest.approx(2.1)
    assert samples.total("made_total", size="huge") == 0
    assert samples.total("up") == 1.0


def test_values_are_added_up_by_a_label(samples):
    """In full precision."""
    assert samples.by("what", "made_total") == {"pig": 5.0, "cat": 0.1}
    assert samples.by("what", "made_total", size="small") == {"pig": 3.0}
    assert samples.by("what", "nothing") == {}
    assert Samples.parse('made_total{what="pig"} 0.0\n').counted("what", "made_total") == {}


def test_an_empty_page_has_no_samples():
    """A worker that does not answer, for example."""
    assert Samples.parse("").total("up") == 0
