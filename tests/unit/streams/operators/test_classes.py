"""The classes that are learned are bounded, and a rule of the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.operators.classes import Classes
from millrace.streams.operators.label_join import LabelJoin
from millrace.streams.replay.in_memory import run
from tests.unit.streams.operators.apart import Apart, made_by

Make = Callable[..., Any]


@pytest.fixture
def operator(make_pipeline: Make) -> Apart:
    """Make an operator that learns three classes."""
    return Apart(make_pipeline("multiclass", max_classes=3))


def test_a_label_of_one_class_too_many_is_rejected(
    operator: Apart, make_vector: Make, make_label: Make
) -> None:
    """Those that came first are learned again and again; the event waits for another label."""
    for i, label in enumerate("abcab"):
        made_by(operator, make_vector(str(i)), make_label(str(i), label))
    made = made_by(operator, make_vector("x"), make_label("x", "d"))
    assert made == [("predictions", "x"), ("rejects", "unknown_class")]
    assert operator.tally["label", "unknown_class"] == 1
    assert operator.tally["rejected_label", "unknown_class"] == 1
    assert operator.outcomes[-1]["fate"] == "unknown_class"
    assert made_by(operator, make_label("x", "c")) == [("examples", "x")]
    assert [*operator.store("classes")] == ["a", "b", "c"]


def test_an_event_with_a_label_of_one_class_too_many_is_predicted(
    operator: Apart, make_vector: Make, make_label: Make
) -> None:
    """Its label is rejected, and another one may come."""
    for label in "abc":
        made_by(operator, make_vector(label, label=label))
    made = made_by(operator, make_vector("x", label="d"))
    assert made == [("predictions", "x"), ("rejects", "unknown_class")]
    assert made_by(operator, make_label("x", "a")) == [("examples", "x")]


def test_a_label_that_was_early_is_rejected_when_its_event_comes(
    operator: Apart, make_vector: Make, make_label: Make
) -> None:
    """Labels without events take no place: only what is learned counts."""
    for i, label in enumerate("wxyz"):
        assert made_by(operator, make_label(f"never {i}", label)) == []
    for label in "abc":
        made_by(operator, make_label(label, label), make_vector(label))
    assert [*operator.store("classes")] == ["a", "b", "c"]
    made_by(operator, make_label("x", "d"))
    made = made_by(operator, make_vector("x"))
    assert made == [("predictions", "x"), ("rejects", "unknown_class")]


def test_the_classes_are_state(
    operator: Apart, make_pipeline: Make, make_vector: Make, move: Make
) -> None:
    """A worker that takes over knows them."""
    for label in "abc":
        made_by(operator, make_vector(label, label=label))
    later = Apart(make_pipeline("multiclass", max_classes=3))
    move(operator.operator, later.operator, {})
    made = made_by(later, make_vector("x", label="d"), make_vector("y", label="c"))
    assert made[1] == ("rejects", "unknown_class")
    assert made[3] == ("examples", "y")


@pytest.mark.parametrize(
    ("task", "changes"),
    [("binary", {}), ("regression", {}), ("multiclass", {"classes": ["a", "b"]})],
)
def test_where_classes_are_known_none_are_counted(
    task: str, changes: dict[str, Any], make_pipeline: Make
) -> None:
    """Ingest refuses others already."""
    classes = Classes(make_pipeline(task, **changes))
    assert all(classes.admit(each) for each in range(1_000))
    assert not classes.seen


def test_hundred_classes_by_default(avro: Make, make_pipeline: Make) -> None:
    """Whatever is sent, no model learns the 101st; all events are predicted."""
    schema = avro(id="string", a="double", b="double", y=(["null", "string"], None))
    pipeline: Pipeline = make_pipeline("multiclass", schema=schema)
    rows = [{"id": str(i), "a": 1.0, "b": float(i), "y": f"class {i % 230}"} for i in range(460)]
    result = run(pipeline, rows)
    assert len(result.predictions) == 460
    assert {each["reason"] for each in result.rejects} == {"unknown_class"}
    assert len(result.rejects) == 260
    assert "(max_classes); got 'class 100'" in result.rejects[0]["detail"]
    assert {name for each in result.predictions for name in each["probabilities"]} == {
        f"class {i}" for i in range(100)
    }


def test_a_join_keeps_its_classes(make_pipeline: Make) -> None:
    """In every chain, it is where labels meet events that they are counted."""
    assert "classes" in LabelJoin(make_pipeline("multiclass"), None, {}).stores  # type: ignore[arg-type]
