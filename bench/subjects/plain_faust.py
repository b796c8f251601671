"""A Faust pipeline of four agents, each with a topic, as in Faust's user guide.

They do the jobs of Millrace's default chain: clean, make features, predict and train, watch for
drift. Records go from agent to agent as JSON, Faust's default; `events` is read as it is.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TypeAlias

import faust
from river import drift

from bench.job import Job
from bench.learner import Learner

Stream: TypeAlias = "faust.StreamT[Any]"

job = Job.from_environment()
learner = Learner(job)
detector = drift.ADWIN()  # type: ignore[no-untyped-call]  # River's

app = faust.App(
    job.name,
    broker=f"kafka://{job.bootstrap}",
    store="memory://",
    topic_partitions=1,
    topic_replication_factor=1,
    web_enabled=False,
    value_serializer="json",
)
events = app.topic(job.input_topic, value_type=bytes, value_serializer="raw")
clean = app.topic(f"{job.name}.clean", internal=True, partitions=1)
features = app.topic(f"{job.name}.features", internal=True, partitions=1)
predictions = app.topic(job.output_topic, value_type=bytes, value_serializer="raw")
alerts = app.topic(f"{job.name}.alerts", internal=True, partitions=1)


@app.agent(events)
async def ingest(stream: Stream) -> None:
    async for value in stream:
        event_id, fields, label = learner.decode(value)
        if all(name in fields for name in job.features):
            await clean.send(key=event_id, value={"id": event_id, "fields": fields, "label": label})


@app.agent(clean)
async def feature(stream: Stream) -> None:
    async for event in stream:
        vector = {name: event["fields"][name] for name in job.features}
        record = {"id": event["id"], "features": vector, "label": event["label"]}
        await features.send(key=event["id"], value=record)


@app.agent(features)
async def prediction(stream: Stream) -> None:
    async for record in stream:
        key, value = learner.handle((record["id"], record["features"], record["label"]))
        await predictions.send(key=key, value=value)


@app.agent(predictions)
async def watch(stream: Stream) -> None:
    async for value in stream:
        detector.update(json.loads(value)["probability"])  # type: ignore[no-untyped-call]  # River's
        if detector.drift_detected:
            await alerts.send(value={"source": "prediction"})


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "-l", "warn", "--without-web"]
    app.main()
