"""What a process is folding can be read from outside."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryFile

import pytest

from millrace.streams.operators.record import Origin
from millrace.streams.runtime.folding import Folding, FoldingNote


def origin(offset: int, topic: str = "clean", partition: int = 0) -> Origin:
    return Origin(topic, partition, offset, 0, None, b"", full_topic=f"p.{topic}")


@pytest.fixture
def file() -> Iterator[int]:
    with TemporaryFile() as file:
        yield file.fileno()


def test_nothing_is_being_folded_at_first(file: int) -> None:
    """Nor behind a slice."""
    note = FoldingNote(file)
    assert (note.before, Folding.read(file)) == (None, None)
    note.begin("feature", [origin(3)])
    note.end()
    assert Folding.read(file) is None


def test_a_slice_is_read_while_it_is_folded(file: int) -> None:
    """Whatever was written before: a shorter note leaves nothing of a longer one."""
    note = FoldingNote(file)
    note.begin("ingest-feature-prediction", [origin(10**12), origin(10**12 + 1)])
    note.begin("feature", [origin(3), origin(5)])
    assert Folding.read(file) == Folding("feature", ("p.clean", 0, 3), ("p.clean", 0, 5))


def test_the_next_process_knows_where_the_last_one_ended(file: int) -> None:
    """It is known even when that one has written anew."""
    FoldingNote(file).begin("feature", [origin(3)])
    note = FoldingNote(file)
    note.end()
    assert note.before == Folding("feature", ("p.clean", 0, 3), ("p.clean", 0, 3))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (origin(4), False),
        (origin(5), True),
        (origin(6), True),
        (origin(5, partition=1), False),
        (origin(5, topic="events"), False),
    ],
)
def test_the_end_of_a_slice(record: Origin, expected: bool) -> None:
    """Records behind it are at its end, too: it may be skipped by now."""
    folding = Folding("feature", ("p.clean", 0, 3), ("p.clean", 0, 5))
    assert folding.includes_end(record) is expected


def test_nobody_has_to_read_it() -> None:
    """Without a supervisor nothing is written."""
    note = FoldingNote()
    note.begin("feature", [origin(3)])
    note.end()
    assert note.before is None
