"""Bytewax doing the work of Millrace's `full`, as the state of a stateful step.

Its recovery store saves that state, and the offset it belongs to, at the end of each epoch.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from bench.equal.topics import create_topics
from bench.equal.work import EqualWork, Output
from bench.job import Job

_EPOCH = timedelta(seconds=5)
_RECOVERY = Path("recovery")

job = Job.from_environment()


def step(
    work: EqualWork | None, message: KafkaSourceMessage[bytes, bytes]
) -> tuple[EqualWork, list[Output]]:
    work = work or EqualWork(job)
    return work, work.handle(message.value, message.timestamp[1])


def as_message(pair: tuple[str, Output]) -> KafkaSinkMessage[bytes, bytes]:
    made = pair[1]
    return KafkaSinkMessage(made.key.encode(), made.value, f"{job.name}.{made.topic}")


create_topics(job)
if not _RECOVERY.exists():
    _RECOVERY.mkdir()
    init_db_dir(_RECOVERY, 1)
flow = Dataflow("bench")
read = kop.input("events", flow, brokers=[job.bootstrap], topics=[job.input_topic])
keyed = op.map("one model", read.oks, lambda message: ("model", message))
worked = op.stateful_flat_map("work", keyed, step)
outputs = op.map("unkeyed", worked, as_message)
kop.output("outputs", outputs, brokers=[job.bootstrap], topic=job.output_topic)
cli_main(flow, epoch_interval=_EPOCH, recovery_config=RecoveryConfig(_RECOVERY))
