"""`millrace deploy` says what would change, and asks for a reason where it changes something."""

from __future__ import annotations

from collections.abc import Callable

from millrace.streams.kafka.fakes import FakeBroker

Call = Callable[..., tuple[int, str, str]]

_LOANS = "millrace.models.pipelines.loans"


def test_a_reason_is_for_what_changes_something(call: Call, broker: FakeBroker) -> None:
    """With --dry-run, nothing does, and none is needed."""
    assert call("topics", "-p", _LOANS, "--create")[0] == 0
    code, out, _ = call("deploy", _LOANS, "--dry-run")
    assert (code, out.partition(",")[0]) == (0, "loans: the first definition")
    code, _, err = call("deploy", _LOANS)
    assert code == 2
    assert "Missing option '--reason'" in err
    assert broker.values("loans.definitions") == broker.values("loans.commands") == []
