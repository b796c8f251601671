"""What Ctrl-C may not cut in two."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from millrace.streams.demo.shield import shielded


def test_an_interrupt_waits_for_the_item_to_be_made() -> None:
    """It is raised once the item is complete, and the handler is the former one again."""
    before = signal.getsignal(signal.SIGINT)
    made = []

    def items() -> Iterator[int]:
        signal.raise_signal(signal.SIGINT)
        made.append(1)
        yield 1

    with pytest.raises(KeyboardInterrupt):
        next(shielded(items()))
    assert made == [1]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_that_is_ignored_stays_so() -> None:
    """A shell's background jobs ignore Ctrl-C."""

    def items() -> Iterator[int]:
        signal.raise_signal(signal.SIGINT)
        yield 1

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert list(shielded(items())) == [1]
    finally:
        signal.signal(signal.SIGINT, before)


def test_between_items_an_interrupt_is_immediate() -> None:
    """Only the making is shielded."""
    items = shielded([1, 2])
    assert next(items) == 1
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert list(items) == [2]
