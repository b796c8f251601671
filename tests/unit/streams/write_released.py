"""Writes fixtures: `python -m tests.unit.streams.write_released FOLDER CASE.CHAIN ...`.

It is run before the form of the state changes, with the code that is to be remembered. What it
writes is described in `tests/fixtures/state/README.md`, and read by `test_released_state`.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from millrace.models.pipeline.sample_events import sample_vectors
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.operators.record import Origin
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.state.log import StateLog
from millrace.streams.tools.inspect_state import describe
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from tests.unit.streams.released import KEY, NOW_MS, inputs_of, pipeline_of

_SAMPLES = 3


def encoded(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


class Releasing:
    """The agents of a case, which fold its inputs."""

    def __init__(self, case: str, chain: str) -> None:
        self.pipeline = pipeline_of(case)
        self.codec = TopicCodec(self.pipeline)
        self.made: dict[str, list[list[str | None]]] = {}
        settings = Settings(chain=chain, state_key=KEY.decode())  # type: ignore[arg-type]
        self.agents = []
        for agent in settings.agents:
            clients = KafkaClients(settings)
            log = StateLog(self.pipeline, agent, clients, f"{self.pipeline.name}.", KEY)
            factory = TaskFactory(
                self.pipeline, agent, 1, 10**6, lambda _: None, log.load_models, lambda: NOW_MS
            )
            self.agents.append((agent, log, factory.make()))

    def put(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Write a record and let every agent that reads its topic fold it."""
        records = self.made.setdefault(topic, [])
        records.append([encoded(key), encoded(value)])
        origin = Origin(topic, 0, len(records) - 1, NOW_MS + len(records) - 1, key, value)
        for agent, _, task in self.agents:
            if topic in agent.reads:
                for made in task.run(Slice([self.codec.decode(origin)])):
                    self.put(made.topic, *self.codec.encode(made))

    def flush(self) -> Iterator[dict[str, Any]]:
        """Save the state of every agent."""
        for agent, log, task in self.agents:
            covers = {topic: len(self.made.get(topic, ())) for topic in agent.reads}
            for each in [*log.flush(0, task, covers, 1)]:
                headers = [(name, (value or b"").decode()) for name, value in each.headers]
                yield {
                    "topic": each.topic,
                    "key": each.key,
                    "value": encoded(each.value),
                    "headers": headers,
                }
            log.mark_saved(0, task)

    def learned(self) -> dict[str, Any]:
        return {
            f"{each.scope_key}/{each.model}": {
                "version": each.version,
                "digest": each.digest,
                "metrics": {name: repr(value) for name, value in each.metrics.items()},
            }
            for agent, _, task in self.agents
            if "learning" in agent
            for each in describe(0, task, sample_vectors(self.pipeline))
        }


def document_of(case: str, chain: str) -> dict[str, Any]:
    """Return a fixture: the state after two thirds of the inputs, and what followed."""
    releasing = Releasing(case, chain)
    inputs = inputs_of(case)
    inputs_from = 2 * len(inputs) // 3
    for topic, value in inputs[:inputs_from]:
        releasing.put(topic, None, value)
    offsets = {topic: len(each) for topic, each in releasing.made.items()}
    document = {
        "case": case,
        "chain": chain,
        "samples": {topic: each[:_SAMPLES] for topic, each in releasing.made.items()},
        "offsets": offsets,
        "state": [*releasing.flush()],
        "inputs_from": inputs_from,
    }
    for inputs_name in ("events", "labels"):
        document["samples"].pop(inputs_name, None)
    if chain == "split":
        return document
    for topic, value in inputs[inputs_from:]:
        releasing.put(topic, None, value)
    after = {topic: each[offsets.get(topic, 0) :] for topic, each in releasing.made.items()}
    return document | {"after": after, "learned": releasing.learned()}


def main(folder: str, *names: str) -> None:
    for name in names:
        written = json.dumps(document_of(*name.split("."))).encode()
        path = Path(folder) / f"{name}.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(written, mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
