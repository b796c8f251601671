"""Quix Streams, with the model in a closure: its state store would write it for every event.

At least once, with its defaults but for the offset to start at. The model is lost with the process.
"""

from __future__ import annotations

from quixstreams import Application

from bench.job import Job
from bench.learner import Learner

job = Job.from_environment()
learner = Learner(job)
app = Application(
    broker_address=job.bootstrap,
    consumer_group=f"{job.name}.quix",
    auto_offset_reset="earliest",
    auto_create_topics=False,
    loglevel="WARNING",
)
events = app.topic(job.input_topic, value_deserializer="bytes")
predictions = app.topic(job.output_topic, value_serializer="bytes")

handled = app.dataframe(events).apply(lambda value: learner.handle(learner.decode(value))[1])
handled.to_topic(predictions)  # under the event's own key
app.run()
