"""A dead letter holds what it goes back to; an error says where it was raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RejectReason
from millrace.streams.operators.record import Origin, last_frame, reject
from millrace.streams.topology.codec import TopicCodec


def test_reject_has_the_original() -> None:
    """A reject is the record as it came, byte for byte, with its place in the log and the why."""
    headers = (("a", b"\xff"), ("a", None))
    origin = Origin("labels", 3, 9, 5, b"\xfe", b"\x00\xff", headers)
    made = reject(origin, RejectReason.MALFORMED, "a requires b; got c")
    assert (made.topic, made.type, made.origin, made.partition) == (
        "rejects", "Reject", origin, None
    )  # fmt: skip
    assert made.value == {
        "reason": "malformed",
        "detail": "a requires b; got c",
        "topic": "labels",
        "partition": 3,
        "offset": 9,
        "timestamp_ms": 5,
        "key": b"\xfe",
        "value": b"\x00\xff",
        "value_size_bytes": 2,
        "headers": [{"name": "a", "value": b"\xff"}, {"name": "a", "value": None}],
    }


def test_reject_of_a_tombstone() -> None:
    """A record without a value has a size of 0."""
    value = reject(Origin("events", 0, 0, 0, None, None), RejectReason.EMPTY, "").value
    assert (value["value"], value["value_size_bytes"], value["key"]) == (None, 0, None)


def test_detail_can_be_written(make_pipeline: Callable[..., Pipeline]) -> None:
    """Whatever an exception of the user's said, its text is short and valid UTF-8."""
    origin = Origin("events", 0, 0, 0, None, b"x")
    made = reject(origin, RejectReason.FEATURE_ERROR, "KeyError: '\ud800'" + "x" * 100_000)
    _, written = TopicCodec(make_pipeline()).encode(made)
    assert 2_000 < len(written) < 2_200
    assert made.value["detail"].startswith("KeyError: '\\ud800'xx")


def test_last_frame() -> None:
    """What was raised, and the innermost line that raised it."""

    def inner() -> Any:
        raise KeyError("income")

    try:
        inner()
    except KeyError as error:
        told = last_frame(error)
    assert told.startswith("KeyError: 'income' at ")
    assert told.endswith(f"test_record.py:{inner.__code__.co_firstlineno + 1}")


def test_last_frame_of_what_was_not_raised() -> None:
    """An error that never was raised has no line."""
    assert last_frame(ValueError("x")) == "ValueError: x"


def test_no_attribute_of_an_exception_is_trusted() -> None:
    """A class of the user's may have a traceback of its own, or one that raises."""

    class OddError(Exception):
        __traceback__ = 5  # type: ignore[assignment]

        def __getattribute__(self, name: str) -> Any:
            raise SystemExit(name)

    with pytest.raises(OddError) as raised:
        raise OddError("two\nlines")
    said = last_frame(vars(raised)["_excinfo"][1])
    assert said.startswith("OddError: two lines at ")
    assert "test_record.py:" in said
