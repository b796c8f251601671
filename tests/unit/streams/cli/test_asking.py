"""What is asked of a running pipeline is checked before it is sent."""

from __future__ import annotations

import pytest

from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.kafka.protocols import Place
from tests.unit.streams.cli.conftest import Call

LOANS = ("-p", "millrace.models.pipelines.loans", "--reason", "a trial")
COMMANDS: Place = ("loans.commands", 0)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("drift.polcy", "reset", "name must be one of drift.policy, drift.cooldown"),
        ("drift.policy", "retrain", "must be one of 'alert', 'reset', 'replace'; got 'retrain'"),
        ("drift.cooldown", "soon", "must be a whole number of 0 or more; got 'soon'"),
    ],
)
def test_a_wrong_setting_is_not_sent(
    name: str, value: str, says: str, call: Call, broker: FakeBroker
) -> None:
    """The error lists what there is, and the exit code is 2."""
    call("topics", *LOANS[:2], "--create")
    code, _, err = call("set", name, value, *LOANS)
    assert (code, says in err) == (2, True), err
    assert not broker.records(*COMMANDS)


def test_a_setting_is_sent(call: Call, broker: FakeBroker) -> None:
    """With who and why; here nobody waits for it to be applied."""
    call("topics", *LOANS[:2], "--create")
    code, _, err = call("set", "drift.policy", "reset", *LOANS, "--who", "anna", "--wait", "0")
    assert (code, err) == (0, "")
    assert broker.records(*COMMANDS)
