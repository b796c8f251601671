"""The type of labels is settled before the first one, and so 1 and "1" are never two classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from millrace.models.pipeline.labels import Labels, class_limit
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError, EventSchema, RecordError, RejectReason

ENUM = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
NAN = float("nan")


def labels(task: str, kind: Any = None, classes: Sequence[Any] | None = None) -> Labels:
    fields = [{"name": "id", "type": "string"}]
    if kind is not None:
        fields.append({"name": "y", "type": kind})
    schema = {"type": "record", "name": "V", "fields": fields}
    return Labels(Task(task), EventSchema(schema, None if kind is None else "y"), classes)


UNKNOWN_TYPE = RejectReason.UNKNOWN_LABEL_TYPE
UNKNOWN_CLASS = RejectReason.UNKNOWN_CLASS


@pytest.mark.parametrize(
    ("settled", "learned", "refused"),
    [
        (labels("multiclass", "string"), ["a", "1", ""], [1, True, 1.0, NAN, None, ["a"], b"a"]),
        (labels("multiclass", ["null", "string"]), ["a"], [1, None]),
        (labels("multiclass", "long"), [1, 0, -5], ["1", True, False, 1.0, NAN, None]),
        (labels("multiclass", "int"), [1], ["1", True, 1.0]),
        (labels("multiclass", "boolean"), [True, False], [1, 0, "True", 1.0, NAN]),
        (labels("multiclass", ENUM), ["RED", "BLUE"], ["GREEN", "red", 1, True, NAN]),
        (labels("multiclass", None, ["a", "1"]), ["a", "1"], [1, True, 1.0, NAN, None]),
        (labels("multiclass", None, [1, 2]), [1, 2], ["1", True, 1.0]),
        (labels("multiclass", "long", [1, 2]), [1, 2], ["1", True, 1.0]),
        (labels("multiclass", None, [True, False]), [True], [1, "True"]),
        (labels("binary"), [True, False, 1, 0], ["1", "True", 1.0, NAN, 2, None]),
        (labels("binary", "boolean"), [True, 1], ["1", 1.0, 2]),
        (labels("binary", "long"), [1, 0], [True, "1", 1.0, 2]),
        (labels("anomaly"), [True, 0], ["1", 1.0, 2]),
        (labels("regression", "double"), [1.5, 2], [True, "1.5", None]),
    ],
    ids=range(15),
)
def test_only_labels_of_the_settled_type_are_learned(
    settled: Labels, learned: list[Any], refused: list[Any]
) -> None:
    """By the schema's field, by the classes of the definition, or by the task."""
    for each in learned:
        assert settled.learnable(each) == each
        assert settled.admits(each)
    for each in refused:
        with pytest.raises(RecordError) as caught:
            settled.learnable(each)
        assert caught.value.reason is UNKNOWN_TYPE
        assert not settled.admits(each)


@pytest.mark.parametrize("settled", [labels("binary"), labels("binary", "boolean")])
def test_a_binary_label_is_a_boolean(settled: Labels) -> None:
    """1 and True are one class."""
    assert settled.learnable(1) is settled.learnable(True) is True


@pytest.mark.parametrize(
    ("settled", "other"),
    [
        (labels("multiclass", None, ["a", "b"]), "c"),
        (labels("multiclass", "string", ["a", "b"]), ""),
        (labels("multiclass", "long", [1, 2]), 3),
        (labels("multiclass", ENUM, ["RED", "BLUE"]), None),
    ],
)
def test_a_class_that_the_definition_does_not_list_is_unknown(settled: Labels, other: Any) -> None:
    """It has the right type, and the message lists the classes."""
    if other is None:
        assert settled.classes == ("RED", "BLUE")
        return
    with pytest.raises(RecordError) as caught:
        settled.learnable(other)
    assert caught.value.reason is UNKNOWN_CLASS
    assert f"one of the classes {[*(settled.classes or ())]}; got {other!r}" in str(caught.value)


def test_the_symbols_of_an_enum_are_the_classes() -> None:
    """Where there is none, and no list, the classes are not known."""
    assert labels("multiclass", ["null", ENUM]).classes == ("RED", "BLUE")
    assert labels("multiclass", "string").classes is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("multiclass",), "classes must be given for the task 'multiclass' if no field of the sch"),
        (
            ("multiclass", ["string", "long"]),
            "label 'y' must have one type of classes for the task",
        ),
        (
            ("multiclass", ["int", "boolean"]),
            "label 'y' must have one type of classes for the task",
        ),
        (("multiclass", None, [1, "1"]), "classes must be of one type, all text, all whole number"),
        (("multiclass", None, [1, True]), "classes must be of one type, all text, all whole numbe"),
        (("multiclass", None, [1.0, 2.0]), "classes must be of one type, all text, all whole num"),
        (("multiclass", None, [NAN, NAN]), "classes must be of one type, all text, all whole num"),
        (("multiclass", None, [None, None]), "classes must be of one type, all text, all whole n"),
        (("multiclass", None, ["a"]), "classes must be two or more; got ['a']"),
        (("multiclass", None, []), "classes must be two or more; got []"),
        (("multiclass", None, "ab"), "classes must be a list of classes, for example ['apple', 'p"),
        (("multiclass", None, {"a", "b"}), "classes must be a list of classes, for example ['appl"),
        (("multiclass", None, ["a", "a"]), "classes must have each class once; got ['a', 'a']"),
        (("multiclass", "long", ["a", "b"]), "classes must be of the type of the label 'y', ('lon"),
        (("multiclass", ENUM, ["RED", "GREEN"]), "classes must be symbols of the label 'y', of ('"),
        (("binary", None, [False, True]), "classes must be None for the task 'binary': only 'mul"),
        (("regression", None, [1, 2]), "classes must be None for the task 'regression': only 'mul"),
    ],
)
def test_a_type_that_is_not_settled_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    """The message names the parameter, and the fix."""
    with pytest.raises(DefinitionError) as caught:
        labels(*arguments)
    assert str(caught.value).startswith(message)


def test_known_classes_are_within_the_limit() -> None:
    """More than `max_classes` are meant only where it says so."""
    hundred = labels("multiclass", "long", [*range(100)])
    class_limit(100, hundred)
    with pytest.raises(DefinitionError) as caught:
        class_limit(99, hundred)
    assert str(caught.value).startswith(
        "max_classes must be 100 or more for the 100 classes of the"
    )
