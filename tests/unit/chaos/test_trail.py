"""The book of commands says what is accepted, and the checks see an audit that says otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chaos.trail import CommandBook, InForce, not_in_force, unapplied, unlike_the_book

Asked = tuple[str, dict[str, str]]


def command(id_: str, name: str, **arguments: str) -> bytes:
    return json.dumps({"id": id_, "command": name, "arguments": arguments}).encode()


def deploy(id_: str, digest: str, *models: str, **features: str) -> bytes:
    fixed = dict.fromkeys(("name", "event_id", "key", "event_time", "task", "label", "scope"), "x")
    named = [{"name": each} for each in models]
    listed = [{"name": name, "identity": each} for name, each in features.items()]
    drift = {"policy": "alert"}
    described = json.dumps({**fixed, "models": named, "features": listed, "drift": drift})
    return command(id_, "deploy", definition=digest, description=described, signature="-")


def setting(id_: str, value: str) -> bytes:
    return json.dumps(
        {"id": id_, "command": "set", "arguments": {"name": "drift.policy", "value": value}}
    ).encode()


def entry(offset: int, number: int = 1, **more: Any) -> Any:
    return {
        "number": number,
        "topic": "t",
        "offset": offset,
        "command_id": None,
        "subject": "command",
        "action": "accepted",
        "evidence": {},
        "after": None,
        **more,
    }


@pytest.mark.parametrize(
    ("commands", "reasons"),
    [
        ([command("1", "pause"), command("2", "pause")], [None, "paused already"]),
        ([command("1", "pause"), command("1", "resume")], [None, "has come before"]),
        ([command("1", "rollback")], ["no champion before"]),
        ([command("1", "promote", model="a")], ["another than the champion"]),
        ([command("1", "promote", model="a.challenger@7")], [None]),
        ([command("1", "promote", model="b"), command("2", "rollback")], [None, None]),
        ([deploy("1", "d", "a"), deploy("2", "d", "a")], [None, "another than the one in force"]),
        ([deploy("1", "d", "a"), deploy("2", "e", "b")], [None, "models must keep"]),
        (
            [deploy("1", "d", "a", f="1"), deploy("2", "e", "a", f="2", g="1")],
            [None, "must mean what it did"],
        ),
        (
            [
                command("1", "promote", model="b"),
                deploy("2", "d", "b"),
                command("3", "rollback"),
            ],
            [None, None, "no champion before"],
        ),
        ([b"pause", command("1", "pause")], ["must be JSON or Avro", None]),
        ([setting("1", "reset")], ["none was deployed yet"]),
        (
            [deploy("1", "d", "a"), setting("2", "reset"), setting("3", "reset")],
            [None, None, "must be another than it is"],
        ),
        (
            [
                deploy("1", "d", "a"),
                setting("2", "alert"),
                setting("3", "reset"),
                setting("4", "alert"),
                deploy("5", "d", "a"),
            ],
            [None, "must be another than it is", None, None, "another than the one in force"],
        ),
        (
            [
                deploy("1", "d", "a"),
                setting("2", "reset"),
                deploy("3", "d", "a"),
                setting("4", "reset"),
            ],
            [None, None, None, None],
        ),
    ],
)
def test_the_book(commands: list[bytes], reasons: list[str | None]) -> None:
    """Each command is accepted, or refused for what came before it."""
    book = CommandBook("a", ["a", "b"])
    assert [book.take(each) for each in commands] == reasons


def test_answers_are_held_against_the_book() -> None:
    """One that is wrong, lacks a reason, is there twice or not at all is found."""
    commands = [command("1", "pause"), command("2", "pause"), command("3", "resume"), b"pause"]
    records = dict(enumerate(commands))
    refused = {"action": "refused", "evidence": {"reason": "learning is paused already"}}
    unread = {"action": "refused", "evidence": {"reason": "a command must be JSON or Avro"}}
    sound = [entry(0), entry(1, **refused), entry(2), entry(3, **unread)]
    for answers, count in [
        (sound, 0),
        (sound[1:], 1),
        ([*sound, entry(2)], 1),
        ([*sound, entry(9)], 1),
        ([entry(0, **refused), *sound[1:]], 1),
        ([*sound[:3], entry(3, **refused)], 1),
    ]:
        found = [*unlike_the_book(CommandBook("a", ["a"]), records, answers)]
        assert len(found) == count, found


def test_each_command_is_applied_once_and_in_order() -> None:
    """What is applied twice, out of order, or not at all is found."""
    one, again = entry(1, command_id="1"), entry(2, subject="models['a']", command_id="1")
    two = entry(5, 3, command_id="2")
    assert [*unapplied(["1", "2"], [one, again, two], "p")] == []
    for entries in ([one], [one, one, two], [two, one], [one, two, one]):
        assert [*unapplied(["1", "2"], entries, "p")]


def test_predictions_are_held_against_what_was_in_force() -> None:
    """A prediction behind a command names what it has brought, and one before it does not."""
    champion = entry(5, subject="champion", after="b")
    definition = entry(7, subject="definition", after="e")
    before, between, after = ("d", "a"), ("d", "b"), ("e", "b.challenger@deploy3")
    made = [
        {"event_id": str(offset), "definition": named[0], "model": named[1]}
        for offset, named in ((4, before), (6, between), (8, after))
    ]
    places = {"4": 4, "6": 6, "8": 8}
    assert [*not_in_force(InForce("d", "a", [champion, definition]), made, places)] == []
    assert len([*not_in_force(InForce("d", "a", [definition]), made, places)]) == 2
