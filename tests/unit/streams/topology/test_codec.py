"""What is on each topic, under which key, in which format."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from millrace.schemas import RecordError, RejectReason
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.records import Alert, Example, ModelSnapshot, Outcome, Predicted, Prediction
from millrace.streams.formats import FORMATS, Outputs, OutputSchemas
from millrace.streams.operators.record import (
    AlertRecord,
    EventRecord,
    ExampleRecord,
    Origin,
    OutcomeRecord,
    PredictionRecord,
    RawRecord,
    Record,
    SnapshotRecord,
    TombstoneRecord,
    reject,
)
from millrace.streams.topology.codec import SHIPPED, TopicCodec

Make = Callable[..., Any]
ORIGIN = Origin("events", 1, 2, 3, b"key", b"\xff")
SCHEMAS = OutputSchemas({name: number for number, name in enumerate(SHIPPED, 7)})

PREDICTION = Prediction(
    event_id="e1",
    key="anna",
    event_time_ms=1,
    prediction_time_ms=2,
    value=True,
    model="own",
    model_version=3,
    staleness_examples=0,
    definition="",
    reasons=None,
    certainty=None,
    probabilities={"true": 0.75, "false": 0.25},
    features={"a": 1, "b": 1.0, "c": True, "d": "é🌊"},
)
OUTCOME = Outcome(
    event_id="e1",
    key=None,
    event_time_ms=1,
    fate="joined",
    label=True,
    label_delay_ms=5,
    label_source="labels",
    losses={"own": 1.0},
)
EXAMPLE = Example(
    event_id="e1",
    key=None,
    event_time_ms=1,
    label=True,
    label_delay_ms=None,
    predicted={"own": Predicted(value=None, probabilities={})},
    features={"a": 1.5},
)
ALERT = Alert(
    source="input:a",
    detector="ADWIN",
    event_id="e1",
    event_time_ms=1,
    position=9,
    mean_before=0.1,
    mean_after=0.9,
    action="alert",
    model="own",
    model_version=3,
    detail="",
    reasons=[],
)
OUTPUTS = [
    (PredictionRecord(PREDICTION, ORIGIN), b"anna"),
    (OutcomeRecord(OUTCOME, ORIGIN), b"e1"),
    (AlertRecord(ALERT, ORIGIN), b"input:a"),
    (reject(ORIGIN, RejectReason.MALFORMED, "why"), b"key"),
]


def typed(value: Any) -> Any:
    """Return a value with the types in it, so that True, 1 and 1.0 differ."""
    if isinstance(value, dict):
        return {name: typed(each) for name, each in value.items()}
    return type(value), value


def read_back(codec: TopicCodec, record: Record, data: bytes) -> Record:
    return codec.decode(ORIGIN._replace(topic=record.topic, value=data))


@pytest.mark.parametrize(("record", "key"), OUTPUTS, ids=lambda each: getattr(each, "topic", ""))
def test_outputs_in_avro(record: Record, key: bytes, make_pipeline: Make) -> None:
    """An output is keyed by what it is about, and comes back from Avro as it was."""
    codec = TopicCodec(make_pipeline())
    written_key, data = codec.encode(record)
    assert (written_key, data[:2]) == (key, MARKER)
    back = read_back(codec, record, data)
    assert (type(back), back.topic) == (type(record), record.topic)
    assert typed(back.value) == typed(record.value)


@pytest.mark.parametrize(("record", "key"), OUTPUTS, ids=lambda each: getattr(each, "topic", ""))
def test_outputs_in_json(record: Record, key: bytes, make_pipeline: Make) -> None:
    """In JSON an output has the same key and the same fields; bytes are base64."""
    written_key, data = TopicCodec(make_pipeline(), Outputs("json")).encode(record)
    document = json.loads(data)
    assert written_key == key
    assert [*document] == [*record.value]
    if record.topic == "rejects":
        assert base64.b64decode(document["value"]) == b"\xff"
    else:
        assert typed(document) == typed(record.value)


@pytest.mark.parametrize("written_as", FORMATS)
@pytest.mark.parametrize("read_as", FORMATS)
def test_agents_read_either_format(written_as: str, read_as: str, make_pipeline: Make) -> None:
    """An agent that reads predictions reads them in any format, whatever the setting is now."""
    record, _ = OUTPUTS[0]
    _, data = TopicCodec(make_pipeline(), Outputs(written_as, SCHEMAS)).encode(record)
    back = read_back(TopicCodec(make_pipeline(), Outputs(read_as, SCHEMAS)), record, data)
    assert isinstance(back, PredictionRecord)
    assert typed(back.value) == typed(record.value)


@pytest.mark.parametrize("topic", ["clean", "features", "examples", "models"])
def test_internal_topics_stay_avro(
    topic: str, make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """What only agents read is Avro in either setting."""
    snapshot = ModelSnapshot(scope_key="k", champion="own", version=1, covers={}, payload=b"")
    record: Record = {
        "clean": replace(make_label("e1", True), topic="clean"),
        "features": make_vector("e1", key="anna"),
        "examples": ExampleRecord(EXAMPLE, ORIGIN),
        "models": SnapshotRecord({**snapshot, "key": None, "event_id": "-"}, ORIGIN),  # type: ignore[typeddict-unknown-key]
    }[topic]
    codec = TopicCodec(make_pipeline(), Outputs("json"))
    _, data = codec.encode(record)
    assert data.startswith(MARKER)
    back = read_back(codec, record, data)
    assert (type(back), back.topic) == (type(record), topic)


@pytest.mark.parametrize("outputs", FORMATS)
@pytest.mark.parametrize("topic", ["clean", "features", "predictions", "alerts", "outcomes"])
def test_records_are_encoded_together(
    topic: str, outputs: str, make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """As one by one, types in turns: each with its key, in order."""
    event: Any = {"event_time_ms": 1, "label": None, "fields": {"id": "e", "a": 0.5, "b": 1.0}}
    kinds: list[Record] = {
        "clean": [
            EventRecord({"event_id": "e1", "key": "anna", **event}, ORIGIN),
            replace(make_label("e2", True), topic="clean"),
        ],
        "features": [make_vector("e1", key="anna"), make_label("e2", True)],
    }.get(topic, [each for each, _ in OUTPUTS if each.topic == topic])
    codec = TopicCodec(make_pipeline(), Outputs(outputs, SCHEMAS))
    for records in (kinds, kinds * 100):
        keys, values = codec.encode_all(records)
        assert [*zip(keys, values, strict=True)] == [*map(codec.encode, records)]


@pytest.mark.parametrize("topic", ["events", "labels"])
def test_inputs_stay_raw(topic: str, make_pipeline: Make) -> None:
    """What users produce is not decoded here: the ingest operator can reject what fails."""
    origin = ORIGIN._replace(topic=topic, value=b"anything")
    record = TopicCodec(make_pipeline()).decode(origin)
    assert isinstance(record, RawRecord)
    assert (record.topic, record.origin) == (topic, origin)


def test_a_tombstone_names_its_models(make_pipeline: Make) -> None:
    """A record of `models` without a value removes the models of the scope key in its key."""
    origin = ORIGIN._replace(topic="models", key=b"learning/models/a/b", value=None)
    record = TopicCodec(make_pipeline()).decode(origin)
    assert isinstance(record, TombstoneRecord)
    assert record.scope_key == "a/b"


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        *(("clean", b"?"), ("features", b""), ("predictions", b"{")),
        *(("predictions", b"?"), ("examples", b"\xc3\x01"), ("examples", b"{}")),
    ],
)
def test_foreign_bytes(topic: str, data: bytes | None, make_pipeline: Make) -> None:
    """Foreign bytes on a topic that agents read are a record error, for a reject."""
    with pytest.raises(RecordError) as caught:
        TopicCodec(make_pipeline()).decode(ORIGIN._replace(topic=topic, value=data))
    assert caught.value.reason is RejectReason.MALFORMED


def foreign(make_pipeline: Make, topic: str, data: bytes | None, **more: Any) -> RejectReason:
    """Return why a record on a topic that agents read is refused."""
    task = more.pop("task", "binary")
    with pytest.raises(RecordError) as caught:
        TopicCodec(make_pipeline(task)).decode(ORIGIN._replace(topic=topic, value=data, **more))
    return caught.value.reason


@pytest.mark.parametrize("topic", ["clean", "features", "examples", "models", "predictions"])
@pytest.mark.parametrize("record", [each for each, _ in OUTPUTS], ids=lambda each: each.type)
def test_a_record_of_another_type_is_refused(
    topic: str, record: Record, make_pipeline: Make
) -> None:
    """Of Millrace's own, but of another topic: an alert among the features, for example."""
    if topic == record.topic:
        return
    _, data = TopicCodec(make_pipeline()).encode(record)
    of_clean = RejectReason.UNKNOWN_SCHEMA  # whose records alone are in the user's schema
    expected = of_clean if topic == "clean" else RejectReason.WRONG_TYPE
    assert foreign(make_pipeline, topic, data) is expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, RejectReason.MISSING_FIELD),
        ({**PREDICTION, "event_id": 1}, RejectReason.ILL_TYPED_FIELD),
        ({**PREDICTION, "features": [1]}, RejectReason.ILL_TYPED_FIELD),
        ({**PREDICTION, "features": {"a": [1]}}, RejectReason.ILL_TYPED_FIELD),
        ({**PREDICTION, "probabilities": {"a": "b"}}, RejectReason.ILL_TYPED_FIELD),
        ({**PREDICTION, "model_version": True}, RejectReason.ILL_TYPED_FIELD),
        ({**PREDICTION, "value": {}}, RejectReason.ILL_TYPED_FIELD),
        ({"event_id": "e"}, RejectReason.MISSING_FIELD),
        (ALERT, RejectReason.MISSING_FIELD),
    ],
)
def test_json_of_another_shape_is_refused(change: Any, reason: Any, make_pipeline: Make) -> None:
    """On the topic of predictions, which the drift operator reads."""
    assert foreign(make_pipeline, "predictions", json.dumps(change).encode()) is reason


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b"\xc3\x01", b"{" * 5_000, b'{"a":' * 50_000, b"null"]
)
@pytest.mark.parametrize("topic", ["clean", "features", "examples", "models", "predictions"])
def test_any_bytes_are_refused(topic: str, data: bytes, make_pipeline: Make) -> None:
    """Whoever may write to a topic, the agent that reads it goes on."""
    assert foreign(make_pipeline, topic, data) is RejectReason.MALFORMED


@pytest.mark.parametrize("topic", ["clean", "features", "examples", "predictions"])
def test_a_tombstone_is_refused(topic: str, make_pipeline: Make) -> None:
    """Only models are removed by one."""
    assert foreign(make_pipeline, topic, None) is RejectReason.EMPTY


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"k", b"learning/model", b"learning/models"])
def test_a_tombstone_of_no_models_is_refused(key: bytes | None, make_pipeline: Make) -> None:
    """It would remove the models of another key."""
    assert foreign(make_pipeline, "models", None, key=key) is RejectReason.MALFORMED


@pytest.mark.parametrize(
    ("task", "label"), [("binary", "yes"), ("binary", 7), ("regression", "1"), ("regression", True)]
)
def test_a_label_of_another_task_is_refused(
    task: str, label: Any, make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """On every topic with labels, and in what an example says was predicted."""
    codec = TopicCodec(make_pipeline(task))
    odd = Predicted(value=label, probabilities={})
    predicted = {**EXAMPLE, "label": None, "predicted": {"own": odd}}
    for record in (
        replace(make_label("e1", label), topic="clean"),
        make_label("e1", label),
        make_vector("e1", label=label),
        ExampleRecord({**EXAMPLE, "label": label}, ORIGIN),
        ExampleRecord(predicted, ORIGIN),  # type: ignore[arg-type]
    ):
        _, data = codec.encode(record)
        reason = foreign(make_pipeline, record.topic, data, task=task)
        assert reason is RejectReason.UNKNOWN_LABEL_TYPE


def test_headers_that_are_carried(make_pipeline: Make) -> None:
    """The trace context, and what the definition names; None where there is nothing to carry."""
    codec = TopicCodec(make_pipeline(carry_headers=("tenant",)))
    assert codec.carried(ORIGIN) is None
    assert codec.carried(ORIGIN._replace(headers=(("x", b""),))) is None
    many = tuple(("tenant", b"%d" % number) for number in range(10_000))
    assert codec.carried(ORIGIN._replace(headers=many)) == [("tenant", b"9999")]
