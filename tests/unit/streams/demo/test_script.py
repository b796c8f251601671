"""What the demo sends."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from millrace.models.pipelines.loans import applications, pipeline
from millrace.schemas.codec.avro import MARKER
from millrace.streams.demo import script as module
from millrace.streams.demo.script import EXPECTED_REJECTS, INVALID, Kind, Plan, script
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import Origin, RawRecord, Record

PLAN = Plan(events=600, rate=100.0)
SENT = list(script(PLAN))
ROWS = list(applications(600, drift_at=300))


def ingest(value: bytes, topic: str = "events") -> Record:
    """Return what the real ingest operator makes of a record."""
    operator = IngestOperator(pipeline, None, lambda _: None, 100_000)
    (made,) = operator.process(RawRecord.of(Origin(topic, 0, 0, 2**41, None, value)))
    return made


def values(kind: Kind) -> list[bytes]:
    return [each.value for each in SENT if each.kind is kind]


def test_everything_is_sent_once() -> None:
    """Every application is an event and a label, and every invalid record is there."""
    assert Counter(each.kind for each in SENT) == {
        Kind.EVENT: 600,
        Kind.LABEL: 600,
        Kind.INVALID: 5,
    }


def test_avro_and_json_become_the_same_event() -> None:
    """Events alternate between both; ingest accepts each with all its values and no label."""
    events = values(Kind.EVENT)
    assert all(value.startswith(MARKER) == (i % 2 == 0) for i, value in enumerate(events))
    for value, row in zip(events, ROWS, strict=True):
        made = ingest(value)
        fields = {name: each for name, each in row.items() if name != "granted"}
        assert (made.topic, made.value["label"], made.value["fields"]) == ("clean", None, fields)


def test_an_event_in_json_has_no_label() -> None:
    """The field is absent, as from a team that does not know the outcome yet."""
    assert "granted" not in json.loads(values(Kind.EVENT)[1])


def test_labels_follow_the_rule_that_changes_half_way() -> None:
    """Ingest accepts every label, in both formats."""
    labels = values(Kind.LABEL)
    assert all(value.startswith(MARKER) == (i % 2 == 0) for i, value in enumerate(labels))
    made = [ingest(value, "labels").value for value in labels]
    expected = [(row["application_id"], row["granted"]) for row in ROWS]
    assert [(each["event_id"], each["label"]) for each in made] == expected


def test_a_label_comes_so_many_events_after_its_event() -> None:
    """The label of event i comes between the events i + delay - 1 and i + delay."""
    kinds = [each.kind for each in script(Plan(events=100, rate=1.0))]
    kinds = [each for each in kinds if each is not Kind.INVALID]
    assert kinds[:12] == [Kind.EVENT] * 10 + [Kind.LABEL, Kind.EVENT]
    assert kinds[-11:] == [Kind.EVENT] + [Kind.LABEL] * 10


@pytest.mark.parametrize(("events", "delay"), [(20_000, 300), (1_500, 150)])
def test_the_label_delay_fits_the_number_of_events(events: int, delay: int) -> None:
    """A tenth of a short script, at most 300 events."""
    assert Plan(events=events, rate=1.0).label_delay == delay


def test_invalid_records_are_rejected_for_the_reasons_that_are_expected() -> None:
    """Ingest gives each of the five records the reason that the accounts expect."""
    invalid = values(Kind.INVALID)
    made = [ingest(value) for value in invalid]
    assert {each.topic for each in made} == {"rejects"}
    assert [each.value["reason"] for each in made] == [reason for reason, _ in INVALID]
    assert Counter(each.value["reason"] for each in made) == EXPECTED_REJECTS
    assert len(set(invalid)) == sum(EXPECTED_REJECTS.values()) == 5


@pytest.mark.parametrize("events", [100, 101, 1_500, 4_000])
def test_invalid_records_are_far_from_each_other_and_from_the_drift(events: int) -> None:
    """Next to the drift, an invalid record would look like its cause."""
    plan = Plan(events=events, rate=1.0)
    kinds = [each.kind for each in script(plan) if each.kind is not Kind.LABEL]
    at = [kinds[:i].count(Kind.EVENT) for i, kind in enumerate(kinds) if kind is Kind.INVALID]
    assert len(at) == 5
    assert all(second - first >= events // 10 for first, second in pairwise(at))
    assert all(abs(each - plan.drift_at) >= events // 20 for each in at)


def test_ctrl_c_never_interrupts_the_making_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """The KeyboardInterrupt is raised outside River's generator."""
    made = []

    def interrupted(*_: object, **__: object) -> Iterator[dict[str, object]]:
        signal.raise_signal(signal.SIGINT)
        made.append(ROWS[0])
        yield ROWS[0]

    monkeypatch.setattr(module, "applications", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(script(PLAN))
    assert made
