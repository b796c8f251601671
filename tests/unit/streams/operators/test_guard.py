"""One guard stands around each record of an operator: a record never stops an agent."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Any, Self

import pytest

from millrace.schemas import BrokerError, RecordError, RejectReason
from millrace.streams.operators.base import HaltError, RecordOperator, Topics
from millrace.streams.operators.context import Context
from millrace.streams.operators.record import RawRecord, Record
from millrace.streams.operators.slice import Slice

Make = Callable[..., Any]


class Raising(RecordOperator):
    """Raises at each record what is set for its offset, and passes the others on."""

    name = "raising"

    def __init__(self, pipeline: Any, raised: dict[int, BaseException]) -> None:
        super().__init__(pipeline, self.topics_in(()))
        self.raised = raised

    @classmethod
    def topics_in(cls, agent: Any) -> Topics:
        return Topics(frozenset({"events"}), frozenset({"rejects"}))

    @classmethod
    def make(cls, context: Context) -> Self:
        raise NotImplementedError

    def process(self, record: Record) -> Iterable[Record]:
        if record.origin.offset in self.raised:
            raise self.raised[record.origin.offset]
        return [record]


@pytest.fixture
def fold(make_pipeline: Make, make_origin: Make) -> Make:
    """Fold four records, one or more of which raise; give the operator and what it made."""

    def run(**raised: BaseException) -> tuple[Raising, list[Any]]:
        at = {int(name.removeprefix("at")): error for name, error in raised.items()}
        operator = Raising(make_pipeline(), at)
        records: list[Record] = [RawRecord.of(make_origin(b"x", offset=i)) for i in range(4)]
        return operator, operator.run(Slice(records))

    return run


class Own(BaseException):
    """Somebody's own, that no `except Exception` catches."""


ERRORS = [
    *(struct.error("bad"), OverflowError("too large"), KeyError("x"), RecursionError()),
    *(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), ZeroDivisionError(), AssertionError()),
    *(SystemExit(0), GeneratorExit(), StopIteration(), StopAsyncIteration(), Own()),
    asyncio.CancelledError(),  # a fold awaits nothing: the loop raises none in it
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_whatever_a_record_raises_is_its_reject(error: BaseException, fold: Make) -> None:
    """With its place and the error; the records behind it follow."""
    operator, made = fold(at1=error)
    assert [(each.topic, each.origin.offset) for each in made] == [
        *(("events", 0), ("rejects", 1), ("events", 2), ("events", 3)),
    ]
    assert made[1].value["reason"] == RejectReason.INTERNAL_ERROR
    assert made[1].value["detail"].startswith(type(error).__name__)
    assert "test_guard.py:" in made[1].value["detail"]
    assert operator.tally == {
        ("internal_error", "raising"): 1,
        ("rejected_event", "internal_error"): 1,
    }


def test_every_record_may_raise(fold: Make) -> None:
    """The first and the last too."""
    _, made = fold(at0=KeyError(), at1=KeyError(), at2=KeyError(), at3=KeyError())
    assert [(each.topic, each.origin.offset) for each in made] == [
        ("rejects", offset) for offset in range(4)
    ]


def test_what_is_wrong_with_the_record_is_no_internal_error(fold: Make) -> None:
    """It has its own reason, and no alarm is raised."""
    operator, made = fold(at3=RecordError(RejectReason.MALFORMED, "odd"))
    assert (made[3].value["reason"], made[3].value["detail"]) == ("malformed", "odd")
    assert operator.tally == {("rejected_event", "malformed"): 1}


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), BrokerError("down")])
def test_what_is_not_the_records_is_passed_on(error: BaseException, fold: Make) -> None:
    """A lack of memory, an interrupt, the broker: the batch begins again."""
    with pytest.raises(type(error)):
        fold(at1=error)


@pytest.mark.parametrize(
    ("cause", "raised"), [(ValueError("mine"), ValueError), (SystemExit(3), RuntimeError)]
)
def test_a_halt_is_passed_on(cause: BaseException, raised: Any, fold: Make) -> None:
    """With `on_error="stop"` the user's error halts the agent; it never ends the process."""
    halt = HaltError()
    halt.__cause__ = cause
    with pytest.raises(raised):
        fold(at1=halt)
