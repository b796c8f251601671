"""Records that are decoded together are those that they are one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import AvroType, RecordError
from millrace.streams.formats import Outputs
from millrace.streams.operators.record import MODELS_KEY, Origin, Record, reject
from millrace.streams.topology.codec import SHIPPED, TopicCodec
from millrace.streams.topology.topics import TOPICS

Make = Callable[..., Any]

LABELS = (None, True, False, 0, 1, 7, 0.5, float("nan"), "a", "é" * 50)
FIELDS: Mapping[str, Any] = {"id": "e1", "a": 0.5, "b": float("nan")}
VECTOR: Mapping[str, Any] = {"event_id": "e1", "key": "k", "event_time_ms": 2**40}
PREDICTION: Mapping[str, Any] = {
    **VECTOR,
    "prediction_time_ms": 9,
    "value": 0.5,
    "model": "own",
    "model_version": 300,
    "staleness_examples": 0,
    "reasons": None,
    "certainty": None,
    "definition": "",
    "probabilities": {"a": 0.5},
    "features": {"a": 1.5, "b": -0.0},
}


class Writer:
    """Draws what may be on a topic: its own records for the most part, and anything else."""

    def __init__(self, pipeline: Pipeline, rng: random.Random) -> None:
        self._rng = rng
        self._event: AvroType[Any] = pipeline.event_schema.clean

    def origins(self, topics: tuple[str, ...], many: int) -> list[Origin]:
        rng = self._rng
        made = []
        for offset in range(many):
            topic = rng.choice(topics)
            key = rng.choice([None, b"k", f"{MODELS_KEY}k".encode()])
            value = self._value(topic)
            made.append(Origin(topic, 0, offset, 1, key, value, (), f"p.{topic}"))
        return made

    def _value(self, topic: str) -> bytes | None:
        rng = self._rng
        names = TOPICS[topic].types if rng.random() < 0.9 else [*SHIPPED, "Event"]
        data = self._record(rng.choice([*names]))
        cut = rng.randrange(len(data) + 1)
        odd = [None, b"", b"{}", data[:cut], data + b"\0"]
        odd += [data[:cut] + rng.randbytes(1) + data[cut + 1 :]]
        return rng.choice(odd) if rng.random() < 0.2 else data

    def _record(self, name: str) -> bytes:
        rng = self._rng
        label = rng.choice(LABELS)
        match name:
            case "Event":
                return self._event.encode({**VECTOR, "label": label, "fields": FIELDS})
            case "Label":
                label = label or False
                record = {"event_id": "e", "label": label, "label_time_ms": 2**40, "key": None}
            case "FeatureVector":
                names = rng.choice(["ab", "ba", "abc", ""])
                features = {each: rng.choice([0.5, -1.5, 1, True, "x"]) for each in names}
                record = {**VECTOR, "label": label, "features": features}
            case "Example":
                predicted = {"own": {"value": rng.choice(LABELS), "probabilities": {"a": 0.5}}}
                record = {**VECTOR, "label": label, "label_delay_ms": None}
                record |= {"predicted": predicted, "features": {"a": 1.0}}
            case "AcceptedCommand":
                record = {"number": 1, "id": "c", "command": "pause", "arguments": {"a": "b"}}
                record |= {"who": "anna", "why": ""}
            case _:
                name, record = "Prediction", {**PREDICTION, "value": label}
        return SHIPPED[name].encode(record)


def shown(records: list[Any]) -> list[Any]:
    """Return all that can be seen of records, with NaN, order and the types of values."""
    return [(type(each), repr(each.value), each.origin, each.topic) for each in records]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "anomaly"])
@pytest.mark.parametrize(
    "topics",
    [("clean",), ("features",), ("features", "models"), ("examples",), ("events", "labels")],
    ids="+".join,
)
@pytest.mark.parametrize("seed", range(3))
def test_together_as_one_by_one(
    task: str, topics: tuple[str, ...], seed: int, make_pipeline: Make
) -> None:
    """Each record, and each dead letter, is what it is when it is decoded by itself."""
    rng = random.Random(f"{task} {topics} {seed}")
    pipeline = make_pipeline(task)
    codec = TopicCodec(pipeline)
    origins = Writer(pipeline, rng).origins(topics, 300)
    expected: list[Record] = []
    rejects = []
    for origin in origins:
        try:
            expected.append(codec.decode(origin))
        except RecordError as error:
            rejects.append(reject(origin, error.reason, error.detail))
    records, undecodable = codec.decode_all(origins)
    assert shown(records) == shown(expected)
    assert shown(undecodable) == shown(rejects)
    assert len(records) > 30
    assert rejects or "events" in topics


def test_predictions_in_any_format(make_pipeline: Make) -> None:
    """Predictions in Avro and in JSON may follow each other."""
    pipeline = make_pipeline()
    avro = SHIPPED["Prediction"].encode(PREDICTION)
    plain = TopicCodec(pipeline, Outputs("json"))
    (record,), _ = plain.decode_all([Origin("predictions", 0, 0, 1, None, avro)])
    _, json = plain.encode(record)
    origins = [Origin("predictions", 0, 0, 1, None, each) for each in (avro, json, avro)]
    records, undecodable = plain.decode_all(origins)
    assert ([each.value for each in records], undecodable) == ([PREDICTION] * 3, [])
