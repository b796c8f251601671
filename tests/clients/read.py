"""Read topics with confluent-kafka's deserializers, and print a JSON object for each record.

Usage: read.py BOOTSTRAP REGISTRY TOPIC=COUNT...   (REGISTRY is `-` where values are JSON)
"""

import base64
import json
import sys
import time

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

SECONDS = 60.0


def main(bootstrap: str, registry: str, *asked: str) -> None:
    missing = {topic: int(count) for topic, count in (each.split("=") for each in asked)}
    decode = AvroDeserializer(SchemaRegistryClient({"url": registry})) if registry != "-" else None
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "python-client",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([*missing])
    deadline = time.monotonic() + SECONDS
    while any(count > 0 for count in missing.values()):
        if time.monotonic() > deadline:
            sys.exit(f"timed out; still missing {missing}")
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        topic, data = message.topic(), message.value()
        context = SerializationContext(topic, MessageField.VALUE)
        value = decode(data, context) if decode else json.loads(data)
        missing[topic] -= 1
        print(json.dumps({"topic": topic, "value": value}, default=as_text))
    consumer.close()


def as_text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


main(*sys.argv[1:])
