"""What one writes by hand on confluent-kafka to do the work of Millrace's `full`.

The state and the offset that it belongs to are a record of a compacted topic, every few seconds:
after a crash, it goes on from there. At least once.
"""

from __future__ import annotations

import pickle
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from bench.equal.topics import LARGEST_STATE_BYTES, STATE, create_topics
from bench.equal.work import EqualWork
from bench.job import Job

_BATCH = 500
_SAVE_SECONDS = 5.0
_RESTORE_SECONDS = 30.0


def main() -> None:
    job = Job.from_environment()
    create_topics(job, with_state=True)
    brokers = {"bootstrap.servers": job.bootstrap}
    consumer = Consumer(
        {**brokers, "group.id": f"{job.name}.handwritten", "enable.partition.eof": True}
    )
    producer = Producer(
        {**brokers, "enable.idempotence": True, "message.max.bytes": LARGEST_STATE_BYTES}
    )
    work, offset = restore(consumer, job)
    consumer.assign([TopicPartition(job.input_topic, 0, offset)])
    saved_at = time.monotonic()
    while True:
        messages = [each for each in consumer.consume(_BATCH, 0.005) if each.error() is None]
        for message in messages:
            for made in work.handle(message.value(), message.timestamp()[1]):
                producer.produce(f"{job.name}.{made.topic}", made.value, made.key)
            producer.poll(0)
            offset = (message.offset() or 0) + 1
        if messages and time.monotonic() - saved_at > _SAVE_SECONDS:
            producer.flush()  # what the state has seen is written before it
            producer.produce(f"{job.name}.{STATE}", pickle.dumps((work, offset)), "work")
            saved_at = time.monotonic()


def restore(consumer: Consumer, job: Job) -> tuple[EqualWork, int]:
    """Return the state that was saved last, and the offset of the first event after it."""
    consumer.assign([TopicPartition(f"{job.name}.{STATE}", 0, OFFSET_BEGINNING)])
    saved = None
    while (message := consumer.poll(_RESTORE_SECONDS)) and message.error() is None:
        saved = message.value()
    if saved is None:
        return EqualWork(job), 0
    work, offset = pickle.loads(saved)
    return work, offset


if __name__ == "__main__":
    main()
