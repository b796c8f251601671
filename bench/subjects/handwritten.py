"""What one writes by hand on confluent-kafka: consume, predict, learn, produce, commit.

At least once. The model is lost when the process ends.
"""

from __future__ import annotations

from confluent_kafka import Consumer, Producer

from bench.job import Job
from bench.learner import Learner

_BATCH = 500


def main() -> None:
    job = Job.from_environment()
    learner = Learner(job)
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": f"{job.name}.handwritten",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": job.bootstrap, "enable.idempotence": True})
    consumer.subscribe([job.input_topic])
    while True:
        messages = [each for each in consumer.consume(_BATCH, 0.005) if each.error() is None]
        for message in messages:
            key, value = learner.handle(learner.decode(message.value() or b""))
            producer.produce(job.output_topic, value, key)
            producer.poll(0)
        if messages:
            producer.flush()
            consumer.commit(asynchronous=False)


if __name__ == "__main__":
    main()
