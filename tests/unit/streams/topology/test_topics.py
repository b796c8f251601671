"""What is on each topic, under which key, and how a broker is asked to keep it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RecordError, RejectReason
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.records import Alert, Example, ModelSnapshot, Prediction, Served
from millrace.streams.operators.record import RAW, Origin, Record, reject
from millrace.streams.topology.chain import parse_chain
from millrace.streams.topology.topics import (
    MAX_RECORD_BYTES,
    TopicCodec,
    TopicSettings,
    topic_settings,
)

Make = Callable[..., Any]
ORIGIN = Origin("events", 1, 2, 3, b"key", b"\xff")

PREDICTION = Prediction(
    event_id="e1",
    key="anna",
    event_time_ms=1,
    prediction_time_ms=2,
    value=True,
    model="own",
    model_version=3,
    staleness_examples=0,
    probabilities={"True": 0.75, "False": 0.25},
    features={"a": 1, "b": 1.0, "c": True, "d": "é🌊"},
)
EXAMPLE = Example(
    event_id="e1",
    key=None,
    event_time_ms=1,
    label=True,
    label_delay_ms=None,
    served={"own": Served(value=None, probabilities={})},
    loss=None,
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
)
RECORDS = [
    (Record("predictions", "Prediction", PREDICTION, ORIGIN), b"anna"),
    (Record("examples", "Example", EXAMPLE, ORIGIN), b"e1"),
    (Record("alerts", "Alert", ALERT, ORIGIN), b"input:a"),
    (reject(ORIGIN, RejectReason.MALFORMED, "why"), b"key"),
]


def typed(value: Any) -> Any:
    """Return a value with the types in it, so that True, 1 and 1.0 differ."""
    if isinstance(value, dict):
        return {name: typed(each) for name, each in value.items()}
    return type(value), value


@pytest.mark.parametrize(("record", "key"), RECORDS, ids=lambda each: getattr(each, "topic", ""))
def test_public_records_in_avro(record: Record, key: bytes, make_pipeline: Make) -> None:
    """A public record is keyed by what it is about, and comes back from Avro as it was."""
    codec = TopicCodec(make_pipeline())
    written_key, data = codec.encode(record)
    assert (written_key, data[:2]) == (key, MARKER)
    back = codec.decode(ORIGIN._replace(topic=record.topic, value=data))
    assert (back.topic, back.type) == (record.topic, record.type)
    assert typed(back.value) == typed(record.value)


@pytest.mark.parametrize(("record", "key"), RECORDS, ids=lambda each: getattr(each, "topic", ""))
def test_public_records_in_json(record: Record, key: bytes, make_pipeline: Make) -> None:
    """In JSON a public record has the same key and the same fields; bytes are base64."""
    written_key, data = TopicCodec(make_pipeline(), json_outputs=True).encode(record)
    document = json.loads(data)
    assert written_key == key
    assert [*document] == [*record.value]
    if record.type == "Reject":
        assert base64.b64decode(document["value"]) == b"\xff"
    else:
        assert typed(document) == typed(record.value)


@pytest.mark.parametrize("record", [RECORDS[0][0], RECORDS[1][0]], ids=lambda each: each.topic)
def test_agents_read_json_outputs(record: Record, make_pipeline: Make) -> None:
    """Agents that follow a public topic read it in JSON too, whatever they write themselves."""
    _, data = TopicCodec(make_pipeline(), json_outputs=True).encode(record)
    for json_outputs in (False, True):
        back = TopicCodec(make_pipeline(), json_outputs).decode(
            ORIGIN._replace(topic=record.topic, value=data)
        )
        assert back.type == record.type
        assert typed(back.value) == typed(record.value)


@pytest.mark.parametrize("topic", ["clean", "features", "models"])
def test_private_records_stay_avro(
    topic: str, make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """What only agents read is Avro in either setting."""
    snapshot = ModelSnapshot(scope_key="k", champion="own", version=1, covers={}, payload=b"")
    record = {
        "clean": make_label("e1", True),
        "features": make_vector("e1", key="anna"),
        "models": Record("models", "ModelSnapshot", {**snapshot, "event_id": "-"}, ORIGIN),
    }[topic]
    record.topic = topic
    codec = TopicCodec(make_pipeline(), json_outputs=True)
    _, data = codec.encode(record)
    assert data.startswith(MARKER)
    assert codec.decode(ORIGIN._replace(topic=topic, value=data)).type == record.type


@pytest.mark.parametrize("topic", ["events", "labels"])
def test_inputs_stay_raw(topic: str, make_pipeline: Make) -> None:
    """What users produce is not decoded here: the ingest operator has a way out for what fails."""
    origin = ORIGIN._replace(topic=topic, value=b"anything")
    record = TopicCodec(make_pipeline()).decode(origin)
    assert (record.topic, record.type, record.value, record.origin) == (topic, RAW, None, origin)


@pytest.mark.parametrize(
    ("topic", "data"),
    [("clean", b"?"), ("features", None), ("predictions", b"{"), ("examples", b"\xc3\x01")],
)
def test_what_is_not_ours(topic: str, data: bytes | None, make_pipeline: Make) -> None:
    """Foreign bytes on an inner topic are a record error, for a reject."""
    with pytest.raises(RecordError) as caught:
        TopicCodec(make_pipeline()).decode(ORIGIN._replace(topic=topic, value=data))
    assert caught.value.reason is RejectReason.MALFORMED


def settings(chain: str = "default", **changes: Any) -> dict[str, TopicSettings]:
    given = {"prefix": "p.", "partitions": 3, "replication": 2, "retention_ms": 1_000} | changes
    return {each.name: each for each in topic_settings(parse_chain(chain), **given)}


def test_every_topic_of_a_chain() -> None:
    """A chain needs the nine topics of a pipeline and one of state for each of its agents."""
    topics = {
        *("events", "labels", "clean", "features", "predictions"),
        *("examples", "models", "alerts", "rejects"),
    }
    for chain, states in (
        ("default", {"ingest", "feature", "prediction-learning", "drift"}),
        ("full", {"ingest-feature-prediction-learning-drift"}),
    ):
        assert {*settings(chain)} == {f"p.{each}" for each in topics} | {
            f"p.state.{each}" for each in states
        }


def test_what_a_broker_is_asked_for() -> None:
    """State and models are compacted, the rest is deleted in time; our own records may be large."""
    made = settings()
    assert all((each.partitions, each.replication) == (3, 2) for each in made.values())
    for name, topic in made.items():
        keeps = name == "p.models" or name.startswith("p.state.")
        assert topic.config["cleanup.policy"] == ("compact" if keeps else "delete")
        assert topic.config.get("retention.ms") == (None if keeps else "1000")
        large = None if name in ("p.events", "p.labels") else str(MAX_RECORD_BYTES)
        assert topic.config.get("max.message.bytes") == large


def test_names_do_not_collide(make_pipeline: Callable[..., Pipeline]) -> None:
    """Each topic is asked for once."""
    names = [
        each.name
        for each in topic_settings(
            parse_chain("split"), prefix="", partitions=1, replication=1, retention_ms=1
        )
    ]
    assert len(names) == len({*names})
