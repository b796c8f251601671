"""Bytewax, with its Kafka connector and the model as the state of a stateful step.

Without a recovery store, its default: the model is lost with the process, and all is read again.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

from bench.job import Job
from bench.learner import Learner

job = Job.from_environment()


def step(learner: Learner | None, value: bytes) -> tuple[Learner, KafkaSinkMessage]:
    learner = learner or Learner(job)
    key, prediction = learner.handle(learner.decode(value))
    return learner, KafkaSinkMessage(key.encode(), prediction)


flow = Dataflow("bench")
read = kop.input("events", flow, brokers=[job.bootstrap], topics=[job.input_topic])
keyed = op.map("one model", read.oks, lambda message: ("model", message.value))
predicted = op.stateful_map("train", keyed, step)
outputs = op.map("unkeyed", predicted, lambda pair: pair[1])
kop.output("predictions", outputs, brokers=[job.bootstrap], topic=job.output_topic)
cli_main(flow)
