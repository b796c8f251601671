"""The ports that a broker of the tests listens at."""

from __future__ import annotations

import socket

import pytest

from dev.kafka import HOST, free_port


def test_no_port_is_given_twice() -> None:
    """A broker has seven listeners: each has a port of its own."""
    ports = [free_port() for _ in range(300)]
    assert len({*ports}) == len(ports)


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens at the port that is given."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        used, free = taken.getsockname()[1], free_port()
        offered = iter([used, free])
        monkeypatch.setattr("dev.kafka.random.choice", lambda _: next(offered))
        monkeypatch.setattr("dev.kafka._GIVEN", set())
        assert free_port() == free
