"""What the demo plays."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest

from millrace.models.pipelines.loans import applications, pipeline
from millrace.schemas.codec.avro import MARKER
from millrace.streams.demo.script import BAD, EXPECTED_REJECTS, Kind, Plan, bad_records, script
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import RAW, Origin, Record

PLAN = Plan(events=600, rate=100.0)
PLAYED = list(script(PLAN))
BAD_RECORDS = bad_records(next(applications(1)))


def ingest(value: bytes, topic: str = "events") -> Record:
    """Return what the real ingest operator makes of a record."""
    operator = IngestOperator(pipeline, None, lambda _: None, 100_000)
    (made,) = operator.process(Record(topic, RAW, None, Origin(topic, 0, 0, 2**41, b"k", value)))
    return made


def test_everything_is_played_once() -> None:
    """Every application is an event and a label, and every bad record is there."""
    assert Counter(each.kind for each in PLAYED) == {
        Kind.EVENT: 600,
        Kind.LABEL: 600,
        Kind.BAD: len(BAD),
    }


def test_events_come_in_order_without_their_labels() -> None:
    """Ingest accepts every event, and finds no label inside."""
    made = [ingest(each.value) for each in PLAYED if each.kind is Kind.EVENT]
    assert [each.value["event_id"] for each in made] == [str(i) for i in range(600)]
    assert {each.topic for each in made} == {"clean"}
    assert {each.value["label"] for each in made} == {None}


def test_avro_and_json_become_the_same_event() -> None:
    """Events alternate between the two forms, and none of their values is changed by either."""
    events = [each.value for each in PLAYED if each.kind is Kind.EVENT]
    assert all(value.startswith(MARKER) == (i % 2 == 0) for i, value in enumerate(events))
    rows = list(applications(2))
    for value, row in zip(events, rows, strict=False):
        expected = {name: each for name, each in row.items() if name != "granted"}
        assert ingest(value).value["fields"] == expected


def test_labels_say_what_became_of_their_events() -> None:
    """Ingest accepts every label, in either form, and the new rule holds from the drift on."""
    made = [ingest(each.value, "labels") for each in PLAYED if each.kind is Kind.LABEL]
    rows = applications(600, PLAN.seed, drift_at=300)
    expected = [(row["application_id"], row["granted"]) for row in rows]
    assert [(each.value["event_id"], each.value["label"]) for each in made] == expected


def test_a_label_comes_so_many_events_after_its_own() -> None:
    """The label of event i is played after event i + delay - 1, and before the one that follows."""
    plan = Plan(events=100, rate=1.0)
    kinds = [each.kind for each in script(plan) if each.kind is not Kind.BAD]
    assert kinds[:12] == [Kind.EVENT] * 10 + [Kind.LABEL, Kind.EVENT]
    assert kinds[-11:] == [Kind.EVENT] + [Kind.LABEL] * 10


@pytest.mark.parametrize(
    ("value", "reason"), [*zip(BAD_RECORDS, BAD.values(), strict=True)], ids=list(BAD)
)
def test_a_bad_record_is_rejected_for_what_is_wrong_with_it(value: bytes, reason: str) -> None:
    """Ingest gives each bad record the reason that the summary expects."""
    made = ingest(value)
    assert (made.topic, made.value["reason"]) == ("rejects", reason)


def test_expected_rejects_count_the_reasons() -> None:
    """Two of the bad records are malformed, each in its own way."""
    assert EXPECTED_REJECTS["malformed"] == 2
    assert sum(EXPECTED_REJECTS.values()) == len(BAD) == len(set(BAD_RECORDS))


@pytest.mark.parametrize("events", [100, 101, 1_500, 4_000])
def test_bad_records_are_apart_from_each_other_and_from_the_drift(events: int) -> None:
    """Nothing bad is next to the drift, where it would look like its cause."""
    plan = Plan(events=events, rate=1.0)
    kinds = [each.kind for each in script(plan) if each.kind is not Kind.LABEL]
    at = [sum(k is Kind.EVENT for k in kinds[:i]) for i, k in enumerate(kinds) if k is Kind.BAD]
    assert len(at) == len(BAD)
    assert all(second - first >= events // 10 for first, second in pairwise(at))
    assert all(abs(each - plan.drift_at) >= events // 20 for each in at)


def test_the_label_delay_fits_a_short_play() -> None:
    """A few hundred events in a long play, a tenth of a short one."""
    assert Plan(events=20_000, rate=1.0).label_delay == 300
    assert Plan(events=1_500, rate=1.0).label_delay == 150


def test_no_label_travels_in_json_events() -> None:
    """The field is left out, as by a team that does not know it yet."""
    events = [each.value for each in PLAYED if each.kind is Kind.EVENT]
    assert "granted" not in json.loads(events[1])
