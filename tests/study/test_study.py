"""A small part of `make study`: equal models are not promoted, and better ones are."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.study import real, rhythm, streams
from tests.study.parts import LABELS, of_equals, of_unequals
from tests.study.served import Block, Served, Switch

EVENTS = 2_500


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("dependence", ["independent", "dependent"])
def test_equal_models_are_not_promoted(dependence: str, labels: str) -> None:
    """Whenever labels come, and however events depend on each other."""
    found = of_equals(("linear", dependence, labels), EVENTS, seed=1)
    assert [each.labels for each in found] == [None, None]
    assert [each.blocks > 3 for each in found] == [True, True]
    assert found[0].total == -found[1].total


@pytest.mark.parametrize("labels", [streams.AT_ONCE, streams.SOME_NEVER])
def test_a_better_model_is_promoted(labels: streams.Labels) -> None:
    """A champion that errs much more is found out, and its challenger stays ahead for a while."""
    found = of_unequals(0.15, labels, 0, 4_000, seed=1)
    assert found.labels is not None
    assert found.proof_labels is not None
    assert found.proof_labels + 1_000 <= found.labels < 2_000
    assert 0.1 < found.total / found.events < 0.2


def test_a_tree_that_splits_first_is_proven_better_but_not_promoted() -> None:
    """The other one splits soon after: the two are equal in law."""
    found = of_equals(("trees", "dependent", "after 1,000 events"), 4_000, seed=1)
    assert [each.proof_labels for each in found] == [None, 1_200]
    assert [each.labels for each in found] == [None, None]


def test_a_better_candidate_comes_to_serve_a_real_stream() -> None:
    """The command is applied by the pipeline itself, and less is lost than by the first."""
    (stream,) = real.streams("Bananas")
    served = real.begun_with("logistic_regression", stream._replace(rows=stream.rows[:3_000]))
    ((labels, chosen),) = served.switches
    assert (served.blocks[-1].champion, served.decided) == (chosen, labels)
    assert served.lost() < served.losses["logistic_regression"]


def test_a_lead_that_comes_and_goes_costs_little() -> None:
    """A probation that does not end sends back what is worse for the rest of each day."""
    served = rhythm.serve(rhythm.Rhythm(10_000, 0.3), 20_000, seed=3)
    assert [each.champion for each in served.switches] == ["by day", "steady"]
    assert 0 < served.excess() < 0.01 * 20_000
    assert served.best == "steady"


def test_streams_that_cannot_be_decided_are_left_out() -> None:
    """Too few rows, or labels of anomalies, for which the catalogue has one model."""
    names = [each.name for each in islice(real.streams(), 3)]
    assert names == ["bananas", "chick_weights", "image_segments"]


def test_excess_is_counted_from_the_decision_on() -> None:
    """By the best single candidate with hindsight."""
    blocks = [
        Block(100, "a", {"a": 30.0, "b": 20.0}),
        Block(100, "b", {"a": 30.0, "b": 20.0}),
    ]
    served = Served(blocks, [Switch(100, "b")])
    assert (served.best, served.decided, served.lost()) == ("b", 100, 50.0)
    assert (served.excess(), served.excess(after=100)) == (10.0, 0.0)
    assert Served(blocks[:1], []).decided is None
