"""Commands by any client, wrong ones among them, and the trail of them, on a real Kafka.

The trail is checked after kills, after the state was lost, and after somebody has added to it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from millrace.streams.cli import run
from millrace.streams.settings import Guarantee
from tests.integration import sensors
from tests.integration.clients import Topics, as_json, avro_audit, avro_command, avro_label
from tests.integration.workers import PIPELINES, STATE_KEY, Worker, settings, wait_for

PARTITIONS = 2
COMMANDS: list[tuple[bytes | None, str]] = [
    (b'{"id": "p1", "command": "pause", "who": "anna", "why": "a holiday"}', ""),
    (b"pause", "a command must be JSON or Avro; it is neither"),
    (None, "the command has no value"),
    (b'{"command": "explode"}', "command must be one of"),
    (b'{"command": "promote"}', "promote must have the argument model"),
    (
        b'{"command": "promote", "arguments": {"model": "nobody"}}',
        "model must be one of logistic_regression, hoeffding_tree; got 'nobody'",
    ),
    (b'{"id": "p1", "command": "resume"}', "'p1' has come before"),
    (b'{"command": "pause"}', "learning is paused already"),
    (avro_command("resume", id="r1", who="bert"), ""),
    (b'{"command": "promote", "arguments": {"model": "hoeffding_tree"}}', ""),
]
"""What is produced, and why it is refused, if it is."""

STATE = ("state.control", "state.prediction-learning", "models")
ACCEPTED = sum(not refused for _, refused in COMMANDS)


class Trail:
    """The audit of one pipeline, as a client of the broker and the command line see it."""

    def __init__(self, broker: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.topics = Topics(broker, name)
        self._name = name
        self._capsys = capsys
        self._call = ["audit", "-p", f"{PIPELINES}:resetting", "-b", broker]

    def command(self, *values: bytes | None) -> None:
        self.topics.produce("commands", [{"value": each, "partition": 0} for each in values])

    def read(self, first: int, count: int) -> None:
        stream = sensors.readings(count, first)
        self.topics.produce(
            "events", [{"value": as_json(each), "key": each["sensor"]} for each in stream]
        )

    def wait(self, answers: int, applied: int) -> list[dict[str, Any]]:
        """Wait until so many commands are answered and applied; return all entries."""

        def look() -> list[dict[str, Any]]:
            found = self.topics.records("audit")
            by_control = [each for each in found if each["writer"] == "control"]
            by_others = {
                (each["partition"], each["command_id"])
                for each in found
                if each["command_id"] and each["writer"] != "control"
            }
            is_all = len(by_control) >= answers and len(by_others) >= applied
            return found if is_all else []

        return wait_for("answer to each command", look)

    def verify(self) -> tuple[int, list[str]]:
        code = run([*self._call, "--verify"])
        out, err = self._capsys.readouterr()
        return code, (out or err).splitlines()

    def shown(self) -> list[str]:
        assert run(self._call) == 0
        return self._capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "guarantee",
    [
        Guarantee.EXACTLY_ONCE,
        pytest.param(Guarantee.AT_LEAST_ONCE, marks=pytest.mark.platform),
    ],
    ids=str,
)
def test_a_trail_of_commands(
    guarantee: Guarantee,
    kafka: str,
    unique_name: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each command has one answer; kills and lost state fork no chain; a forger is found."""
    name = unique_name("audit")
    monkeypatch.setenv("MILLRACE_STATE_KEY", STATE_KEY)
    monkeypatch.setenv("MILLRACE_PIPELINE_NAME", name)
    trail = Trail(kafka, name, capsys)
    own = settings(
        "resetting",
        name,
        kafka,
        partitions=PARTITIONS,
        flush_seconds=0.5,
        batch_records=25,
        processing_guarantee=guarantee,
    )
    with Worker(own) as worker:
        worker.wait_ready()
        trail.read(0, 300)
        trail.command(*(value for value, _ in COMMANDS))
        entries = trail.wait(1 + len(COMMANDS), (1 + ACCEPTED) * PARTITIONS)
        deployed, *answers = [each for each in entries if each["writer"] == "control"]
        assert deployed["evidence"]["command"] == "deploy"
        assert [each["offset"] for each in answers] == [*range(1, 1 + len(COMMANDS))]
        for answer, (_, refused) in zip(answers, COMMANDS, strict=True):
            assert answer["action"] == ("refused" if refused else "accepted")
            assert refused in answer["evidence"].get("reason", "")
        assert {answers[0]["who"], answers[8]["who"]} == {"anna", "bert"}
        code, (said,) = trail.verify()
        assert (code, "no break, no gap" in said) == (0, True), said
        worker.wait_total(1, "millrace_commands_total", command="pause", result="accepted")
        worker.wait_total(1, "millrace_commands_total", command="pause", result="refused")
        # Batches with resets and commands in them, and a kill in the middle.
        trail.read(300, 600)
        trail.command(b'{"command": "pause"}', b'{"command": "resume"}')
        worker.wait_total(500, "millrace_examples_learned_total")
        worker.kill()
    with Worker(own) as worker:
        trail.command(b'{"command": "rollback"}')
        trail.wait(len(COMMANDS) + 4, (ACCEPTED + 4) * PARTITIONS)
        code, (said,) = trail.verify()
        assert (code, "no break, no gap" in said) == (0, True), said
        # Not the tree: untrained it predicts nothing, and a pause may come before it has learned.
        worker.wait_total(900, "millrace_prequential_examples", candidate="logistic_regression")
        worker.terminate()
    delete(kafka, *(f"{name}.{each}" for each in STATE))
    with Worker(own) as worker:
        trail.command(b'{"command": "reset", "arguments": {"model": "hoeffding_tree"}}')
        entries = trail.wait(len(COMMANDS) + 5, (ACCEPTED + 5) * PARTITIONS)
        assert worker.events_logged("no saved state: rebuilding it from the log")
        worker.terminate()
    assert sum(each["who"] == "rule:drift.policy" for each in entries) > 5
    code, (said,) = trail.verify()
    assert (code, "no break, no gap" in said) == (0, True), said
    assert len(trail.shown()) == len(entries)
    forge(trail, entries[-1])
    code, (broken, summary) = trail.verify()
    assert (code, broken.split("]@")[0]) == (1, f"{name}.audit[{PARTITIONS - 1}")
    assert "is not in its writer's state" in broken
    assert summary.endswith(": 1 break")


def test_labels_time_out_where_no_events_come(
    kafka: str, unique_name: Callable[[str], str]
) -> None:
    """Ticks alone end the events, and a worker that rebuilds its state from the log ends the same.

    The audit says nothing of it.
    """
    name, count = unique_name("quiet"), 40
    topics = Topics(kafka, name)
    own = settings("expiring", name, kafka, partitions=PARTITIONS, tick_seconds=0.5)
    stream = sensors.readings(count, labelled=False)
    with Worker(own) as worker:
        worker.wait_ready()
        close = [{**each, "at": sensors.START_MS + at} for at, each in enumerate(stream)]
        keyed = [{"value": as_json(each), "key": each["sensor"]} for each in close]
        topics.produce("events", keyed)
        expired = topics.records("outcomes", at_least=count)
        worker.terminate()
    assert {each["event_id"]: each["fate"] for each in expired} == dict.fromkeys(
        (each["reading_id"] for each in stream), "expired"
    )
    delete(kafka, f"{name}.state.prediction-learning", f"{name}.models")
    with Worker(own.model_copy(update={"tick_seconds": 0})) as worker:
        labels = [avro_label(each["reading_id"], True, key=each["sensor"]) for each in stream]
        topics.produce("labels", [{"value": each} for each in labels])
        ended = topics.records("outcomes", at_least=2 * count)
        assert worker.events_logged("no saved state: rebuilding it from the log")
        worker.terminate()
    fates = Counter(each["fate"] for each in ended)
    assert fates == {"expired": count, "late": count}
    assert {each["evidence"].get("command") for each in topics.records("audit")} == {"deploy", None}


def forge(trail: Trail, last: dict[str, Any]) -> None:
    """Add a record that follows the last one, as whoever can read the topic could make it."""
    value = {**last, "number": last["number"] + 1, "previous": last["digest"], "who": "anna"}
    del value["digest"]
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    value["digest"] = hashlib.sha256(text.encode()).hexdigest()
    partition = {"partition": PARTITIONS - 1}
    trail.topics.produce("audit", [{"value": avro_audit(value), **partition}])


def delete(broker: str, *topics: str) -> None:
    """Delete topics, and wait until they are gone."""
    admin = AdminClient({"bootstrap.servers": broker})
    for each in admin.delete_topics([*topics], operation_timeout=30).values():
        each.result()
    wait_for("deletion", lambda: not {*topics} & {*admin.list_topics(timeout=10).topics})
