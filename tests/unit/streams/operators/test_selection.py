"""The operator that decides who is to serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.models.selection.promotion import Promotion
from millrace.schemas import shipped
from millrace.streams.control.commands import RULE
from millrace.streams.control.signature import HEADER, signature_of
from millrace.streams.operators.context import CommandTopic
from millrace.streams.operators.control import ControlOperator
from millrace.streams.operators.record import (
    AcceptedRecord,
    AlertRecord,
    AuditRecord,
    CommandRecord,
    EvaluationRecord,
    Origin,
    RawRecord,
    Record,
)
from millrace.streams.operators.selection import SelectionOperator
from millrace.streams.operators.slice import Slice
from tests.chaos.likeness import difference, entries_of
from tests.unit.models.selection.test_contest import block

NOW_MS = 1_700_000_000_000
KEY = b"a key for tests"
AHEAD = {"bayes": 18.0, "tree": 0.0}


def records(count: int, first: int = 0, **changes: Any) -> list[Record]:
    """Return blocks as they come from the topic."""
    return [
        EvaluationRecord(
            block(candidates=AHEAD, **changes),
            Origin("evaluations", 0, first + at, NOW_MS + at, None, None),
        )
        for at in range(count)
    ]


def as_asked(record: CommandRecord, key: bytes = b"") -> RawRecord:
    """Return a command as control reads it, written now."""
    value = shipped("command").encode({**record.value, "time_ms": NOW_MS})
    headers = ((HEADER, signature_of(value, key).encode()),) if key else ()
    place = ("commands", 0, record.origin.offset, NOW_MS)
    return RawRecord.of(Origin(*place, None, value, headers, "p.commands"))


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    model = make_pipeline().models
    factory = next(iter(model.values()))
    return replace(make_pipeline(), models={"tree": factory, "bayes": factory})


@pytest.fixture
def operator(pipeline: Pipeline) -> SelectionOperator:
    return SelectionOperator(pipeline)


def test_it_asks_and_tells(operator: SelectionOperator) -> None:
    """A command against the champion that serves, and an alert with the evidence."""
    command, alert = operator.run(Slice(records(30)))
    assert isinstance(command, CommandRecord)
    value = command.value
    assert (command.topic, command.partition) == ("commands", 0)
    assert (value["command"], value["who"]) == ("promote", RULE)
    assert value["arguments"] == {"model": "bayes", "champion": "tree"}
    assert value["id"] == f"{RULE}@0-promote-bayes"
    assert isinstance(alert, AlertRecord)
    assert alert.value["detail"] == value["why"]
    told = {name: alert.value[name] for name in ("source", "action", "position", "model")}  # type: ignore[literal-required]
    assert told == {
        "source": "promotion:bayes",
        "action": "promote",
        "position": 1500,
        "model": "bayes",
    }
    assert shipped("alert").decode(shipped("alert").encode(alert.value)) == alert.value


def test_a_proposal_is_an_alert_that_says_how_to_confirm_it(operator: SelectionOperator) -> None:
    """Nothing is asked for."""
    terms = Promotion(policy="propose").terms("zero_one")
    (alert,) = operator.run(Slice(records(40, terms=terms)))
    assert isinstance(alert, AlertRecord)
    assert alert.value["action"] == "propose"
    assert alert.value["detail"].endswith("`millrace promote bayes --reason ...` lets it serve")


@pytest.mark.parametrize("cut", [1, 7, 15, 29])
def test_it_does_not_matter_where_slices_are_cut(pipeline: Pipeline, cut: int) -> None:
    """The same is made, and the same is saved."""
    whole, parts = SelectionOperator(pipeline), SelectionOperator(pipeline)
    made = whole.run(Slice(records(30)))
    in_parts = [
        each for part in (records(30)[:cut], records(30)[cut:]) for each in parts.run(Slice(part))
    ]
    assert [each.value for each in in_parts] == [each.value for each in made]
    assert not difference(*(entries_of(each.stores["evidence"]) for each in (whole, parts)))


def test_control_accepts_what_it_asks_for(pipeline: Pipeline) -> None:
    """Signed, where commands have to be; and for each partition."""
    command, _ = SelectionOperator(pipeline).run(Slice(records(15)))
    assert isinstance(command, CommandRecord)
    control = ControlOperator(pipeline, CommandTopic("clean", 3), KEY)
    audit, *accepted = control.run(Slice([as_asked(command, KEY)]))
    assert isinstance(audit, AuditRecord)
    assert (audit.value["who"], audit.value["action"]) == (RULE, "accepted")
    assert all(isinstance(each, AcceptedRecord) for each in accepted)
    assert (len(accepted), control.in_force.champion) == (3, "bayes")


def test_what_is_asked_for_again_is_no_news(pipeline: Pipeline) -> None:
    """Blocks from before it is in force go on to come, in any number: nobody is told of that."""
    selection = SelectionOperator(pipeline)
    control = ControlOperator(pipeline, CommandTopic("clean", 1))
    made = selection.run(Slice(records(300)))
    commands = [each for each in made if isinstance(each, CommandRecord)]
    assert (len(commands) > 2, len(made) - len(commands)) == (True, 1)
    answers = [[*control.run(Slice([as_asked(each)]))] for each in commands]
    assert [bool(each) for each in answers] == [True] + [False] * (len(commands) - 1)


def test_what_was_refused_is_asked_for_again(pipeline: Pipeline) -> None:
    """With the same id: it was not accepted."""
    selection = SelectionOperator(pipeline)
    control = ControlOperator(pipeline, CommandTopic("clean", 1), KEY)
    first, second, *_ = [
        each for each in selection.run(Slice(records(300))) if isinstance(each, CommandRecord)
    ]
    (refused,) = control.run(Slice([as_asked(first)]))
    assert isinstance(refused, AuditRecord)
    assert refused.value["action"] == "refused"
    control.run(Slice([as_asked(second, KEY)]))
    assert control.in_force.champion == "bayes"


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_what_is_asked_against_another_champion_is_refused(pipeline: Pipeline, action: str) -> None:
    """Somebody has let another candidate serve in the meantime."""
    control = ControlOperator(pipeline, CommandTopic("clean", 1))
    command, _ = SelectionOperator(pipeline).run(Slice(records(15)))
    assert isinstance(command, CommandRecord)
    control.run(Slice([as_asked(command)]))
    assert control.in_force.champion == "bayes"
    arguments = {"champion": "tree"} | ({"model": "tree"} if action == "promote" else {})
    again: Any = {**command.value, "id": "2", "command": action, "arguments": arguments}
    (refused,) = control.run(Slice([as_asked(CommandRecord(again, command.origin))]))
    assert isinstance(refused, AuditRecord)
    expected = "champion must be 'bayes', who serves; got 'tree'"
    assert refused.value["evidence"]["reason"] == expected


def test_it_shows_the_evidence(operator: SelectionOperator) -> None:
    """As metrics: for each candidate, and none for the champion or a baseline."""
    operator.run(Slice(records(3)))
    shown = {(each.metric, each.labels): each.value for each in operator.readings()}
    assert {*shown} == {("candidate_proof", ("bayes",)), ("candidate_difference", ("bayes",))}
    assert shown["candidate_difference", ("bayes",)] == pytest.approx(0.18)
