"""`millrace audit` prints the trail, and checks it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from millrace.schemas import shipped
from millrace.streams.operators.audit import AuditTrail, Cause, audited
from millrace.streams.operators.record import Origin

LOANS = ["-p", "millrace.models.pipelines.loans"]
NOW_MS = 1_700_000_000_000


@pytest.fixture
def trail(broker: Any) -> None:
    """Write two entries of one agent, an hour apart."""
    chain = AuditTrail("control")
    broker.create("loans.audit", 1)
    for at, (who, action) in enumerate([("anna", "accepted"), ("eve\x1b[31m\nx", "refused")]):
        origin = Origin(
            "commands", 0, at, NOW_MS + at * 3_600_000, None, None, (), "loans.commands"
        )
        evidence = {"command": "pause", **({"reason": "because"} if at else {})}
        after = "7" if action == "accepted" else None
        record = audited(
            Cause(who, "a holiday", origin, "c"), "command", action, evidence=evidence, after=after
        )
        chain.add(record)
        broker.put("loans.audit", shipped("audit").encode(record.value))


def test_a_line_for_each_entry(call: Any, trail: None) -> None:
    """In columns; what a terminal would obey is written out."""
    code, out, _ = call("audit", *LOANS)
    assert code == 0
    assert out.splitlines() == [
        "2023-11-14 22:13:20  control[0] 1  command accepted  anna"
        "            - -> 7; a holiday; command=pause; loans.commands[0]@0",
        "2023-11-14 23:13:20  control[0] 2  command refused   eve\\x1b[31m\\nx"
        "  a holiday; command=pause, reason=because; loans.commands[0]@1",
    ]


def test_json(call: Any, trail: None) -> None:
    """One whole record in a line."""
    _, out, _ = call("audit", *LOANS, "--json")
    first, second = map(json.loads, out.splitlines())
    assert (first["number"], first["who"]) == (1, "anna")
    assert second["previous"] == first["digest"]


@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("2023-11-14T22:13:20", 2),
        ("2023-11-14T23:00:00+00:00", 1),
        ("2023-11-15", 0),
        ("2h", 0),
        ("9999w", 2),
    ],
)
def test_since(call: Any, trail: None, since: str, count: int) -> None:
    """A time, in UTC unless it says another zone, or how long ago."""
    code, out, _ = call("audit", *LOANS, "--since", since)
    assert (code, len(out.splitlines())) == (0, count)


def test_since_a_moment_ago(call: Any, broker: Any, trail: None) -> None:
    """What came within it is shown."""
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    record = audited(Cause("anna", "", Origin("x", 0, 0, now_ms, None, None)), "command", "applied")
    broker.put("loans.audit", shipped("audit").encode(record.value))
    _, out, _ = call("audit", *LOANS, "--since", "5m")
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize("since", ["yesterday", "2", "h", "-2h", "99999999w"])
def test_since_what(call: Any, trail: None, since: str) -> None:
    """Anything else is refused."""
    code, _, err = call("audit", *LOANS, "--since", since)
    assert code == 2
    assert "must be a time such as 2026-11-26T13:00 or 2h" in err


def test_verify_without_a_key(call: Any, trail: None, monkeypatch: Any, tmp_path: Any) -> None:
    """The chain alone is checked, which is said."""
    monkeypatch.setattr("click.get_app_dir", lambda _: str(tmp_path))
    code, out, _ = call("audit", *LOANS, "--verify")
    assert (code, out) == (
        0,
        "2 records by 1 writers in 1 partitions: no break, no gap; not compared with the state of"
        " the writers: MILLRACE_STATE_KEY is not set\n",
    )
    assert [*tmp_path.iterdir()] == []


def test_verify_a_broken_trail(call: Any, broker: Any, trail: None, monkeypatch: Any) -> None:
    """With a key; each break is a line, and the exit code is 1."""
    monkeypatch.setenv("MILLRACE_STATE_KEY", "secret")
    broker.create("loans.state.control", 1)
    broker.put("loans.audit", b"?")
    code, out, _ = call("audit", *LOANS, "--verify")
    assert (code, out.splitlines()) == (
        1,
        [
            "loans.audit[0]@2 is no audit record",
            "3 records by 1 writers in 1 partitions: 1 break; no state saved yet of control[0]",
        ],
    )
    code, out, _ = call("audit", *LOANS, "--verify", "--json")
    assert (code, json.loads(out)["breaks"]) == (
        1,
        [{"where": "loans.audit[0]@2", "what": "is no audit record"}],
    )


def test_verify_is_of_everything(call: Any, trail: None) -> None:
    """A part of a chain shows nothing."""
    code, _, err = call("audit", *LOANS, "--verify", "--since", "2h")
    assert code == 2
    assert "leave out --since" in err
