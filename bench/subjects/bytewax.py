"""Bytewax, with its Kafka connector and the model as the state of a stateful step.

Without a recovery store, which is its default: the model is lost when the process ends, and
every event is read again.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

from bench.job import Job
from bench.learner import Learner


def flow(job: Job) -> Dataflow:
    """Return the dataflow: read, predict and learn, write."""
    decode = Learner(job).decode

    def step(learner: Learner | None, value: bytes) -> tuple[Learner, KafkaSinkMessage]:
        learner = learner or Learner(job)
        key, prediction = learner.handle(decode(value))
        return learner, KafkaSinkMessage(key.encode(), prediction)

    made = Dataflow("bench")
    read = kop.input("events", made, brokers=[job.bootstrap], topics=[job.input_topic])
    keyed = op.map("one model", read.oks, lambda message: ("model", message.value))
    predicted = op.stateful_map("learn", keyed, step)
    outputs = op.map("unkeyed", predicted, lambda pair: pair[1])
    kop.output("predictions", outputs, brokers=[job.bootstrap], topic=job.output_topic)
    return made


if __name__ == "__main__":
    cli_main(flow(Job.from_environment()))
