"""The topics that are written beside the predictions, which the benchmark creates."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.job import Job

WRITTEN = ("outcomes", "alerts", "rejects")
STATE = "state"
LARGEST_STATE_BYTES = 16 * 1024 * 1024
_SECONDS = 30.0


def create_topics(job: Job, *, with_state: bool = False) -> None:
    """Create what is missing of a job's topics, with a compacted one where state is kept there."""
    admin = AdminClient({"bootstrap.servers": job.bootstrap})  # its answers are lost without it
    wanted = [NewTopic(f"{job.name}.{each}", num_partitions=1) for each in WRITTEN]
    if with_state:
        config = {"cleanup.policy": "compact", "max.message.bytes": str(LARGEST_STATE_BYTES)}
        wanted.append(NewTopic(f"{job.name}.{STATE}", num_partitions=1, config=config))
    known = admin.list_topics(timeout=_SECONDS).topics
    missing = [each for each in wanted if each.topic not in known]
    for done in admin.create_topics(missing).values() if missing else ():
        done.result(_SECONDS)
