"""The AsyncAPI document has the pipeline's topics, and is whole.

AsyncAPI's own validator reads it in `tests/e2e/test_asyncapi.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.schemas.codec.parsing import parse_record
from millrace.streams.docs.asyncapi import asyncapi
from millrace.streams.docs.messages import FRAMES
from millrace.streams.docs.values import TIME_MS
from millrace.streams.docs.wrapping import WRAPPINGS
from millrace.streams.formats import FORMATS
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import Origin, RawRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.sources.confluent import no_registry
from millrace.streams.sources.envelopes import ENVELOPES
from millrace.streams.topology.sources import sources_of
from millrace.streams.topology.topics import TOPICS, Use
from tests.unit.streams.docs.definitions import elsewhere, shop
from tests.unit.streams.docs.fitting import fits

MAY_HAVE = {
    "document": {
        *("asyncapi", "info", "servers", "defaultContentType", "channels", "operations"),
        "components",
    },
    "channel": {"address", "description", "messages", "bindings"},
    "operation": {"action", "channel", "summary", "messages", "bindings"},
    "message": {
        *("name", "summary", "description", "contentType", "headers", "payload", "bindings"),
        "examples",
    },
}
Deployed = Callable[..., Settings]


def references(document: Any) -> Iterator[str]:
    """Return where all references lead to."""
    if isinstance(document, Mapping):
        if "$ref" in document:
            yield document["$ref"]
        for each in document.values():
            yield from references(each)
    elif isinstance(document, list):
        for each in document:
            yield from references(each)


def at(document: Any, reference: str) -> Any:
    """Return what a reference leads to."""
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize("outputs", [*FORMATS])
@pytest.mark.parametrize("chain", ["default", "full", "split"])
def test_the_document_is_whole(
    pipeline: Pipeline, deployed: Deployed, outputs: str, chain: str
) -> None:
    """References lead somewhere, and nothing has parts that AsyncAPI does not know."""
    document = asyncapi(pipeline, deployed(outputs=outputs, chain=chain))
    assert document == json.loads(json.dumps(document))
    assert document.keys() <= MAY_HAVE["document"]
    for each in references(document):
        at(document, each)
    for channel in document["channels"].values():
        assert channel.keys() <= MAY_HAVE["channel"]
        for message in channel["messages"].values():
            assert message.keys() <= MAY_HAVE["message"]
    for operation in document["operations"].values():
        assert operation.keys() <= MAY_HAVE["operation"]
        channel = at(document, operation["channel"]["$ref"])
        messages = [at(document, each["$ref"]) for each in operation["messages"]]
        assert messages == [*channel["messages"].values()]


@pytest.mark.parametrize("outputs", [*FORMATS])
def test_payloads_are_as_they_say(pipeline: Pipeline, deployed: Deployed, outputs: str) -> None:
    """Examples fit the JSON Schema of their payload, and what is Avro is valid Avro."""
    document = asyncapi(pipeline, deployed(outputs=outputs))
    named = document["components"]["schemas"]
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            payload = message["payload"]
            if "schemaFormat" in payload:
                assert parse_record(payload["schema"]).name
                continue
            for example in message.get("examples", ()):
                assert fits(example["payload"], payload, named)


def test_topics_are_those_that_others_use(deployed: Deployed) -> None:
    """There are all public topics, and those of others by their names where the pipeline runs."""
    settings = deployed(topics={"orders": "prod.orders", "reviews": "prod.reviews"})
    document = asyncapi(shop(), settings)
    public = [f"shop.{each.name}" for each in TOPICS.values() if each.use is not Use.INTERNAL]
    others = ["prod.orders", "carts", "imports", "orders.v1", "raw", "chargebacks", "prod.reviews"]
    assert [*document["channels"]] == [*public, *others]
    for name, channel in document["channels"].items():
        assert channel["address"] == channel["bindings"]["kafka"]["topic"] == name
    assert "`orders`" in document["channels"]["prod.orders"]["description"]


def test_a_topic_of_events_and_of_labels(deployed: Deployed) -> None:
    """It is one channel with two messages, of which each is read as it says."""
    label = LabelSource(
        "orders", event_id="id", label="verdict", key="customer", envelope="debezium"
    )
    pipeline = shop(events=[Source("orders", envelope="debezium")], labels=[label])
    document = asyncapi(pipeline, deployed())
    channel = document["channels"]["orders"]
    assert channel["description"].startswith("Events and labels, on a topic of others")
    assert [*channel["messages"]] == ["event", "label"]
    for each in references(document):
        at(document, each)
    ingest = IngestOperator(pipeline, 1, no_registry, 10_000, sources_of(pipeline, {}))
    ids = []
    for name, kind in (("event", "Event"), ("label", "Label")):
        message = channel["messages"][name]
        (example,) = message["examples"]
        payload = example["payload"]
        assert fits(payload, message["payload"], document["components"]["schemas"])
        origin = Origin("@orders", 0, 0, TIME_MS, None, json.dumps(payload).encode())
        (made,) = ingest.run(Slice([RawRecord.of(origin)]))
        assert made.type == kind
        ids.append(made.value["event_id"])
    assert ids[0] == ids[1]


def test_operations_are_of_millraces_view(deployed: Deployed) -> None:
    """What it reads is received, by the group that reads it; what it writes is sent."""
    operations = asyncapi(shop(), deployed(chain="full"))["operations"]
    received = {name.partition(".")[2] for name in operations if name.startswith("receive.")}
    sent = {name.partition(".")[2] for name in operations if name.startswith("send.")}
    outputs = {f"shop.{each.name}" for each in TOPICS.values() if each.use is Use.OUTPUT}
    assert sent == outputs
    assert {"shop.events", "shop.labels", "shop.commands", "orders", "chargebacks"} <= received
    agent = "shop.ingest-feature-prediction-learning-drift"
    for name in ("shop.events", "orders"):
        group = operations[f"receive.{name}"]["bindings"]["kafka"]["groupId"]
        assert group["enum"] == [agent]
    group = operations["receive.shop.commands"]["bindings"]["kafka"]["groupId"]
    assert group["enum"] == ["shop.control"]


@pytest.mark.parametrize(
    ("outputs", "content_type", "has_schema"),
    [("avro", "avro/binary", True), ("json", "application/json", False)],
)
def test_outputs_are_in_their_format(
    deployed: Deployed, outputs: str, content_type: str, has_schema: bool
) -> None:
    """Predictions are Avro, or JSON where that is set; inputs may be either."""
    channels = asyncapi(shop(), deployed(outputs=outputs))["channels"]
    (prediction,) = channels["shop.predictions"]["messages"].values()
    assert prediction["contentType"] == content_type
    assert ("schemaFormat" in prediction["payload"]) == has_schema
    assert {*channels["shop.events"]["messages"]} == {"json", "avro", "label"}
    assert prediction["headers"]["properties"].keys() == {"traceparent", "tracestate", "tenant"}
    assert "key, or else its id" in prediction["bindings"]["kafka"]["key"]["description"]


def test_what_is_read_of_keys_and_headers(deployed: Deployed) -> None:
    """Messages say which parts of a record are read beside its value, and examples have them."""
    channels = asyncapi(elsewhere(), deployed())["channels"]
    event = channels["elsewhere.events"]["messages"]["json"]
    verdict = channels["verdicts"]["messages"]["json"]
    assert "the event id in its field `payment.id`" in said_of_key(event)
    assert "the event id, which it is" in said_of_key(verdict)
    assert event["headers"]["properties"]["region"]["description"] == "The event id."
    assert verdict["headers"]["properties"]["card"]["description"] == "The key."
    assert event["examples"][0]["headers"] == {"region": "event-1", "card": "key-1"}


def said_of_key(message: Mapping[str, Any]) -> str:
    """Return what a message says of the key of its records."""
    return str(message["bindings"]["kafka"]["key"]["description"])


def test_topics_are_kept_as_they_are_created(deployed: Deployed) -> None:
    """Topics of Millrace's own have their settings, in the types that AsyncAPI has for them."""
    channels = asyncapi(shop(), deployed(retention_hours=2))["channels"]
    kept = channels["shop.predictions"]["bindings"]["kafka"]["topicConfiguration"]
    assert kept["cleanup.policy"] == ["delete"]
    assert kept["retention.ms"] == 7_200_000
    assert channels["shop.commands"]["bindings"]["kafka"]["partitions"] == 1
    assert "topicConfiguration" not in channels["orders"]["bindings"]["kafka"]


def test_servers_are_named_where_they_are_known(deployed: Deployed) -> None:
    """Each bootstrap server is a server; with TLS, a secure one."""
    assert "servers" not in asyncapi(shop(), deployed())
    secure = {"security.protocol": "sasl_ssl"}
    settings = deployed(broker="k1:9092,k2:9093", kafka=secure | {"sasl.password": "secret"})
    document = asyncapi(shop(), settings)
    assert document["servers"] == {
        "broker1": {"host": "k1:9092", "protocol": "kafka-secure"},
        "broker2": {"host": "k2:9093", "protocol": "kafka-secure"},
    }
    assert "secret" not in json.dumps(document)


def test_the_version_changes_with_the_schema_of_events(deployed: Deployed) -> None:
    """It is that of Millrace, whose outputs they are, and the fingerprint of the events."""
    first, second = (
        asyncapi(each, deployed())["info"]["version"] for each in (shop(), shop(name="other"))
    )
    assert first == second
    assert first.endswith(f"+{shop().event_schema.fingerprint}")


def test_every_envelope_and_every_format_is_told_of() -> None:
    """There is no envelope, and no format, that the document has no words for."""
    assert WRAPPINGS.keys() == ENVELOPES.keys()
    assert FORMATS.keys() - {"json"} <= FRAMES.keys()


@pytest.mark.parametrize(
    ("pipeline", "changes"),
    [
        (shop(), {"price": "12.50", "at": "2026-01-01T00:00:00Z"}),
        (elsewhere(), {"amount": "1", "by": {"name": None, "since": "2026-01-01T00:00:00Z"}}),
    ],
    ids=["at the top", "nested"],
)
def test_text_may_stand_for_some_numbers(
    deployed: Deployed, pipeline: Pipeline, changes: Mapping[str, Any]
) -> None:
    """The event time may be ISO 8601, and fields of `numbers_as_text` may be text."""
    document = asyncapi(pipeline, deployed())
    event = document["channels"][f"{pipeline.name}.events"]["messages"]["json"]
    value, named = event["examples"][0]["payload"], document["components"]["schemas"]
    assert fits(value | changes, event["payload"], named)
