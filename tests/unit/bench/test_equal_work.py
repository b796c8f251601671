"""What the peers of equal work do is what the chain `full` does, on the same records."""

from __future__ import annotations

import json
import pickle
import runpy
from collections.abc import Iterator, Sequence
from math import nan
from random import Random

import pytest

from bench import data
from bench.avro import RecordType
from bench.data import Record
from bench.equal import join
from bench.equal.join import LabelJoin
from bench.equal.wire import OUTCOME_SCHEMA, Event, Predicted, Wire, prediction_schema
from bench.equal.work import EqualWork, Output
from bench.job import LABEL_SCHEMA, Job
from millrace.streams.operators.columns import Columns
from millrace.streams.replay.encoding import Outgoing
from millrace.streams.replay.in_memory import InMemory
from millrace.streams.replay.report import combined_metrics

NOW_MS = 1_700_000_000_000
EVENTS = 2_000


def job_of(model: str, label_delay: int) -> Job:
    return Job(
        name="bench-1",
        model=model,
        events=EVENTS,
        features=[*data.rows(1)[0][0]],
        bootstrap="127.0.0.1:9092",
        embedded=False,
        label_delay=label_delay,
    )


def odd_records(job: Job) -> list[Record]:
    """Return a job's records with repeated, early, wrong and broken ones among them."""
    random, records = Random(5), data.records(job)
    event, label = RecordType(job.schema), RecordType(LABEL_SCHEMA)
    broken = {"id": "broken", "label": True} | dict.fromkeys(job.features, 1.0)
    made: list[bytes] = [
        b"no Avro",
        event.encode({**broken, job.features[3]: nan}),
        event.encode({**broken, job.features[0]: 1e6}),
        *(label.encode({"event_id": str(n), "label": bool(n % 2)}) for n in range(0, EVENTS, 100)),
        *(label.encode({"event_id": str(n), "label": bool(n % 3)}) for n in range(0, EVENTS, 200)),
        *(label.encode({"event_id": "nobody", "label": known}) for known in (True, False)),
        *random.choices([each.value for each in records], k=40),
    ]
    for value in made:
        records.insert(random.randrange(len(records)), Record(b"key", value, 0))
    return records


def full(job: Job, records: Sequence[Record], monkeypatch) -> tuple[InMemory, Iterator[object]]:
    """Fold records with Millrace's `full`; return the fold, and what it makes."""
    for name, value in job.as_environment().items():
        monkeypatch.setenv(name, value)
    memory = InMemory(runpy.run_module("bench.pipeline")["pipeline"], 1, NOW_MS)
    folded = memory.fold(Outgoing(each.value, each.key, 0, not each.is_event) for each in records)
    made = (each.records() if isinstance(each, Columns) else [each] for each in folded)
    return memory, (record for each in made for record in each)


def handled(work: EqualWork, records: Sequence[Record]) -> list[Output]:
    return [made for each in records for made in work.handle(each.value, NOW_MS)]


@pytest.mark.parametrize("label_delay", [0, 70])
@pytest.mark.parametrize("model", ["logistic_regression", "hoeffding_tree"])
def test_it_makes_what_full_makes(model, label_delay, monkeypatch):
    """Predictions, outcomes and their order, how many rejects, and the metrics."""
    monkeypatch.delenv("ELEC2", raising=False)
    job = job_of(model, label_delay)
    records, work = odd_records(job), EqualWork(job)
    made = handled(work, records)
    memory, expected = full(job, records, monkeypatch)
    by_topic: dict[str, list] = {}
    for record in expected:
        by_topic.setdefault(record.topic, []).append(record.value)

    decode = RecordType(OUTCOME_SCHEMA).decode
    outcomes = [decode(each.value) for each in made if each.topic == "outcomes"]
    of_model = {model: "model"}
    assert [(each["event_id"], each["fate"], each["label"]) for each in outcomes] == [
        (each["event_id"], each["fate"], each["label"]) for each in by_topic["outcomes"]
    ]
    assert [each["losses"] for each in outcomes] == [
        {of_model.get(name, name): loss for name, loss in each["losses"].items()}
        for each in by_topic["outcomes"]
    ]
    assert {each["fate"] for each in outcomes} == {
        *("joined", "duplicate", "late_correction", "corrected"),
    }

    decode = RecordType(prediction_schema(job.features)).decode
    predictions = [decode(each.value) for each in made if each.topic == "predictions"]
    assert [(each["event_id"], each["value"], each["features"]) for each in predictions] == [
        (each["event_id"], each["value"], each["features"]) for each in by_topic["predictions"]
    ]
    assert [each["probability"] for each in predictions] == pytest.approx(
        [each["probabilities"].get("true", 0.0) for each in by_topic["predictions"]], abs=1e-12
    )
    assert sum(each.topic == "rejects" for each in made) == len(by_topic["rejects"]) > 20

    metrics = combined_metrics(memory.samples())
    for name, scores in work.scores.items():
        found = {"accuracy": scores.accuracy.get(), "f1": scores.f1.get()}
        assert metrics[model if name == "model" else name] == pytest.approx(found, abs=1e-12)


def test_what_was_saved_goes_on_as_if_nothing_had_happened(monkeypatch):
    """The state is all in the object, as pickling takes it."""
    monkeypatch.delenv("ELEC2", raising=False)
    monkeypatch.setattr("time.time_ns", lambda: NOW_MS * 1_000_000)
    job = job_of("hoeffding_tree", 70)
    records, work = odd_records(job), EqualWork(job)
    handled(work, records[:1_000])
    restored = pickle.loads(pickle.dumps(work))
    assert handled(restored, records[1_000:]) == handled(work, records[1_000:])


def test_a_reject_says_what_is_wrong():
    """The detail names the feature and its value."""
    job = job_of("hoeffding_tree", 0)
    value = RecordType(job.schema).encode(
        {"id": "a", "label": True} | dict.fromkeys(job.features, 1.0) | {job.features[1]: nan}
    )
    (made,) = EqualWork(job).handle(value, NOW_MS)
    assert made.topic == "rejects"
    assert json.loads(made.value)["detail"] == f"{job.features[1]} must be finite; got nan"
    assert Wire(job).read(data.records(job)[0].value, NOW_MS).event_id == "0"


def test_what_waits_is_bounded(monkeypatch):
    """By time and by number: an event ends without a label, and a label without its event."""
    monkeypatch.setattr(join, "_LIMIT", 2)
    joined, predicted = LabelJoin(), Predicted({}, 0.0)
    for number, time_ms in enumerate([0, join._TTL_MS, join._TTL_MS, join._TTL_MS]):
        joined.waiting[str(number)] = Event(str(number), time_ms, {}, None), predicted
    ended = [(event.event_id, fate) for event, fate in joined.surplus(join._TTL_MS + 1)]
    assert ended == [("0", "expired"), ("1", "evicted")]
    assert joined.knows("0")
    assert [*joined.waiting] == ["2", "3"]
    joined.early.update(a=True, b=False, c=True)
    assert [*joined.orphans()] == [("a", True)]
    joined.end("2", True)
    assert [*joined.ended] == ["1", "2"]
