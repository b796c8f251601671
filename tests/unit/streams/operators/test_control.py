"""The operator that accepts or refuses commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.identity.definition import describe
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from millrace.streams.control.signature import HEADER, deploy_signature, signature_of
from millrace.streams.operators.context import CommandTopic
from millrace.streams.operators.control import ControlOperator
from millrace.streams.operators.record import AcceptedRecord, AuditRecord, Origin, RawRecord, Record
from millrace.streams.operators.slice import Slice

NOW_MS = 1_700_000_000_000
PAUSE: dict[str, Any] = {"id": "c1", "command": "pause", "who": "anna", "why": "a holiday"}


class Control:
    """Gives an operator one command after the other."""

    def __init__(self, pipeline: Pipeline, key: bytes = b"") -> None:
        self.operator = ControlOperator(pipeline, CommandTopic("clean", 3), key)
        self._offset = 0

    def take(
        self,
        value: object,
        partition: int = 0,
        headers: tuple[tuple[str, bytes], ...] = (),
        time_ms: int = NOW_MS,
    ) -> list[Record]:
        data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
        topic = "commands"
        origin = Origin(topic, partition, self._offset, time_ms, None, data, headers, "p.commands")
        self._offset += 1
        return self.operator.run(Slice([RawRecord.of(origin)]))


@pytest.fixture
def control(make_pipeline: Callable[..., Pipeline]) -> Control:
    return Control(make_pipeline())


def refusal(made: list[Record]) -> str:
    (audit,) = made
    assert isinstance(audit, AuditRecord)
    assert (audit.value["subject"], audit.value["action"]) == ("command", "refused")
    return audit.value["evidence"]["reason"]


def test_what_is_accepted_goes_to_every_partition(control: Control) -> None:
    """It is numbered, and the audit says who has asked for it, why and where."""
    audit, *accepted = control.take(PAUSE)
    assert isinstance(audit, AuditRecord)
    said = {name: audit.value[name] for name in ("who", "why", "command_id", "action")}  # type: ignore[literal-required]
    assert said == {"who": "anna", "why": "a holiday", "command_id": "c1", "action": "accepted"}
    assert audit.value["evidence"] == {"command": "pause", "partitions": "3"}
    place = audit.value["topic"], audit.value["partition"], audit.value["offset"]
    assert place == ("p.commands", 0, 0)
    expected = {**PAUSE, "arguments": {}, "number": 1}
    assert [(each.topic, each.partition, each.value) for each in accepted] == [
        ("clean", partition, expected) for partition in range(3)
    ]
    assert all(isinstance(each, AcceptedRecord) for each in accepted)
    assert control.operator.in_force.is_paused


def test_commands_are_numbered(control: Control) -> None:
    """What is refused has no number."""
    control.take(PAUSE)
    control.take(b"?")
    _, resumed, *_ = control.take({"command": "resume"})
    assert (resumed.value["number"], resumed.value["id"]) == (2, "p.commands@2")


def test_avro_is_taken_like_json(control: Control) -> None:
    """A client may write the shipped schema in single-object encoding."""
    value = {**PAUSE, "arguments": {}, "time_ms": None}
    audit, *accepted = control.take(shipped("command").encode(value))
    assert (len(accepted), audit.value["command_id"]) == (3, "c1")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({**PAUSE, "command": "paus"}, "command must be one of"),
        ({**PAUSE, "arguments": {"a": "b"}}, "must have no arguments"),
        ({**PAUSE, "command": "promote", "arguments": {"model": "x"}}, "model must be one of own"),
    ],
)
def test_wrong_ones_are_refused(control: Control, value: dict[str, Any], says: str) -> None:
    """Nothing is changed, and nothing reaches the tasks."""
    before = control.operator.in_force
    assert says in refusal(control.take(value))
    assert control.operator.in_force == before


def test_a_setting_may_be_a_number_in_json(
    control: Control, make_pipeline: Callable[..., Pipeline]
) -> None:
    """Tasks are told the definition that follows from it; the audit has both."""
    description = json.dumps(describe(make_pipeline()))
    deployed = {"definition": "d1", "description": description, "signature": "-"}
    control.take({"command": "deploy", "arguments": deployed})
    arguments = {"name": "drift.cooldown", "value": 7}
    audit, *accepted = control.take({"command": "set", "arguments": arguments})
    told = {"name": "drift.cooldown", "value": "7", "definition": "d1?drift.cooldown=7"}
    assert [each.value["arguments"] for each in accepted] == [told] * 3
    assert audit.value["evidence"] == {"command": "set", **told, "partitions": "3"}
    before = control.operator.in_force
    said = refusal(control.take({"command": "set", "arguments": {**arguments, "value": 7.5}}))
    assert "whole number of 0 or more; got '7.5'" in said
    assert control.operator.in_force == before


def test_an_id_counts_once(control: Control) -> None:
    """The first command of an id is accepted; a refused one leaves its id to another."""
    refusal(control.take({**PAUSE, "command": "resume"}))
    assert len(control.take(PAUSE)) == 4
    assert "'c1' has come before" in refusal(control.take({**PAUSE, "command": "resume"}))


def test_another_partition_is_refused(control: Control) -> None:
    """There is one order of commands: that of partition 0."""
    assert "partition 0; got 2" in refusal(control.take(PAUSE, partition=2))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"pause", "malformed"),
        (b"\xc3\x01 not avro", "unknown_schema"),
        (b"[1]", "wrong_shape"),
        (b"{}", "missing_field"),
        (b'{"command": 1}', "ill_typed_field"),
        (b'{"command": "pause", "arguments": {"a": null}}', "ill_typed_field"),
        (b"[" * 60_000, "malformed"),
        (b" " * 9_000_000, "oversized"),
        (json.dumps({"command": "pause", "why": "?" * 70_000}).encode(), "oversized"),
        (json.dumps({"command": "?" * 70_000}).encode(), "oversized"),
        (json.dumps({"command": "pause", "arguments": {"?": "?" * 70_000}}).encode(), "oversized"),
        (b'{"command": "pause", "who": "\\ud800"}', "malformed"),
    ],
)
def test_what_is_no_command_is_rejected(control: Control, value: object, reason: str) -> None:
    """It is in the audit, and in `rejects` with its bytes."""
    audit, rejected = control.take(value)
    assert (audit.value["action"], rejected.topic) == ("refused", "rejects")
    assert (rejected.value["reason"], rejected.value["value"]) == (reason, value)
    assert audit.value["evidence"]["reason"] == rejected.value["detail"]


def test_with_a_key_commands_are_signed(make_pipeline: Callable[..., Pipeline]) -> None:
    """Without a signature a command is refused; with one, it counts."""
    control = Control(make_pipeline(), b"a secret")
    value = json.dumps({**PAUSE, "time_ms": NOW_MS}).encode()
    assert "must be signed" in refusal(control.take(value))
    assert (
        len(control.take(value, headers=((HEADER, signature_of(value, b"a secret").encode()),)))
        == 4
    )


def test_state_is_restored(control: Control, make_pipeline: Callable[..., Pipeline]) -> None:
    """Another worker goes on where this one was: numbers, ids and what is in force."""
    control.take(PAUSE)
    other = Control(make_pipeline())
    for name, store in control.operator.stores.items():
        other.operator.stores[name].restore(store.take_changes())  # type: ignore[attr-defined]
    assert other.operator.in_force == control.operator.in_force
    assert "'c1' has come before" in refusal(other.take(PAUSE))
    _, resumed, *_ = other.take({"command": "resume"})
    assert resumed.value["number"] == 2


def test_commands_are_counted(control: Control) -> None:
    """By what they ask for and what became of them; a name that there is not is no label."""
    for value in (PAUSE, PAUSE, {"command": "explode"}, b"?"):
        control.take(value)
    assert {each: n for each, n in control.operator.tally.items() if each[0] == "command"} == {
        ("command", "pause", "accepted"): 1,
        ("command", "pause", "refused"): 1,
        ("command", "unknown", "refused"): 1,
        ("command", "unreadable", "refused"): 1,
    }


def test_whatever_a_command_has_in_it_the_audit_can_be_written(control: Control) -> None:
    """A record of it that could not be written would be a gap in the chain."""
    long = "x" * 10_000
    for value in (
        {"command": long, "who": long, "why": long, "id": long, "arguments": {long: "\x00"}},
        {**PAUSE, "arguments": {str(at): "y" * 50 for at in range(900)}},
    ):
        (audit,) = control.take(value)
        assert isinstance(audit, AuditRecord)
        assert len(shipped("audit").encode(audit.value)) < 100_000
    assert "at most 1000 characters" in refusal(control.take({**PAUSE, "id": "i" * 1_001}))


def test_an_argument_does_not_pass_for_evidence(control: Control) -> None:
    """What is said of the command is what control knows."""
    said = {"command": "resume", "reason": "none", "partitions": "9"}
    (audit,) = control.take({**PAUSE, "arguments": said})
    assert isinstance(audit, AuditRecord)
    evidence = audit.value["evidence"]
    assert evidence["command"] == "pause"
    assert "must have no arguments" in evidence["reason"]


def tick(seconds: object) -> dict[str, Any]:
    return {"command": "tick", "arguments": {"seconds": seconds}}


def passed(made: list[Record]) -> list[str]:
    return [each.value["arguments"]["seconds"] for each in made]  # type: ignore[index]


def test_a_tick_goes_to_every_partition_and_to_no_audit(control: Control) -> None:
    """A quiet pipeline has one a minute, for ever: neither ids nor the audit grow by them."""
    made = control.take({**tick(60), "id": "t1"})
    assert [type(each) for each in made] == [AcceptedRecord] * 3
    assert passed(made) == ["60.0"] * 3
    assert len(control.operator.stores["ids"]) == 0
    _, paused, *_ = control.take(PAUSE)
    assert paused.value["number"] == 2


def test_ticks_let_no_more_time_pass_than_passes(control: Control) -> None:
    """Of two that overlap, by two workers or sent again, the later one is for what is left."""
    times_ms = [0, 60_000, 61_500, 61_500 + 3_600_000]
    made = [control.take(tick(60), time_ms=NOW_MS + each) for each in times_ms]
    assert [passed(each)[0] for each in made] == ["60.0", "60.0", "1.5", "60.0"]
    assert "has let this time pass already" in refusal(control.take(tick(60)))
    again = control.take(tick(60), time_ms=NOW_MS + times_ms[-1])
    assert "has let this time pass already" in refusal(again)


@pytest.mark.parametrize(
    "seconds", ["", "x", "nan", "inf", "-60", "0", "0.0001", "86400.001", "1e300", [60]]
)
def test_a_tick_for_no_such_time_is_refused(control: Control, seconds: object) -> None:
    """With a reason; it moves nothing."""
    made = control.take(tick(seconds))
    reasons = [each.value["evidence"]["reason"] for each in made if isinstance(each, AuditRecord)]
    assert ["seconds" in each or "arguments" in each for each in reasons] == [True]
    assert not [each for each in made if isinstance(each, AcceptedRecord)]
    assert passed(control.take(tick(60)))[0] == "60.0"


@pytest.mark.parametrize("time_ms", [NOW_MS, -1, 2**62])
def test_a_snapshot_has_one_name_in_every_partition(control: Control, time_ms: int) -> None:
    """When it was asked for, and the number of the command; whatever the record has for a time."""
    value = b'{"id": "s1", "command": "snapshot"}'
    origin = Origin("commands", 0, 0, time_ms, None, value, (), "p.commands")
    _, *accepted = control.operator.run(Slice([RawRecord.of(origin)]))
    told = [each.value["arguments"] for each in accepted if isinstance(each, AcceptedRecord)]
    when = {NOW_MS: "2023-11-14T2213Z", -1: "1970-01-01T0000Z", 2**62: "9999-12-31T2359Z"}
    assert told == [{"version": f"{when[time_ms]}-snapshot-1"}] * 3


def test_a_deploy_is_signed_by_who_published_the_definition(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    """A definition that was not published, or another description of it, is refused."""
    pipeline = make_pipeline()
    arguments = {"definition": "d1", "description": json.dumps(describe(pipeline))}
    signature = deploy_signature("p.", arguments, b"new")
    for keys, changed, is_accepted in (
        ([b"new"], {}, True),
        ([b"newer", b"new"], {}, True),
        ([b"other"], {}, False),
        ([b"new"], {"definition": "d2"}, False),
        ([b"new"], {"description": arguments["description"] + " "}, False),
        ([b"new"], {"signature": signature[:-1]}, False),
        ([b"new"], {"signature": "\u00e9"}, False),
    ):
        control = Control(pipeline)
        control.operator = ControlOperator(pipeline, CommandTopic("clean", 3), b"", keys)
        given = arguments | {"signature": signature} | changed
        audit, *accepted = control.take({"command": "deploy", "arguments": given})
        assert bool(accepted) == is_accepted, (keys, changed)
        assert {"description", "signature"}.isdisjoint(audit.value["evidence"])
        if not is_accepted:
            assert "signed with MILLRACE_STATE_KEY" in audit.value["evidence"]["reason"]
