"""Workers that are wrong on purpose: the proof of the proof.

`python -m tests.chaos.broken commit-first` is a worker like any other, but for one mistake that
an engine could make. The product has no such switch: the mistake is put in here, into this
process. A pause widens the window in which a crash shows it, so that a short run suffices.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from millrace.streams.kafka.clients import producer_config
from millrace.streams.operators.record import Origin
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.runtime.session import Session
from millrace.streams.settings import read_settings
from millrace.streams.state.records import StateRecord
from millrace.streams.worker import child
from millrace.streams.worker.fold import run_fold
from millrace.streams.worker.supervisor import run_worker

KINDS = ("commit-first", "state-outside")
_WINDOW_SECONDS = 1.0


def commit_first() -> None:
    """Commit the input offsets of a batch before its outputs are produced."""
    fold, commit = Session.fold, Outbox.commit

    async def fold_what_is_committed(self: Session, batch: list[Origin], *more: Any) -> int:
        ends = {(origin.topic, origin.partition): origin.offset + 1 for origin in batch}
        ours = {where: end for where, end in ends.items() if where[1] in self.assignments}
        self.inbox.consumer.commit(offsets=self.inbox.positions(ours), asynchronous=False)
        await asyncio.sleep(_WINDOW_SECONDS)
        return await fold(self, batch, *more)

    def commit_outputs(self: Outbox, consumer: Consumer, _offsets: list[TopicPartition]) -> None:
        commit(self, consumer, [])

    Session.fold = fold_what_is_committed  # type: ignore[method-assign]
    Outbox.commit = commit_outputs  # type: ignore[method-assign]


def state_outside() -> None:
    """Save the state at once, before the outputs that it follows from are committed."""
    commit = Session.commit
    producers: dict[str, Producer] = {}

    def put_state_at_once(self: Outbox, partition: int, entry: StateRecord) -> None:
        if self.transactional_id not in producers:
            producers[self.transactional_id] = Producer(producer_config(read_settings()))
        producer, topic = producers[self.transactional_id], self._prefix + entry.topic
        producer.produce(topic, entry.value, entry.key, partition, headers=entry.headers)
        producer.flush(10)

    def commit_later(self: Session, *given: Any, **more: Any) -> None:
        for each in self._unsaved():
            self._put_state(each.partition, each.unsaved_state(self._state))
            each.mark_saved(self._state)
        time.sleep(_WINDOW_SECONDS)
        commit(self, *given, **more)

    Session.commit = commit_later  # type: ignore[method-assign]
    Outbox.put_state = put_state_at_once  # type: ignore[method-assign]


def main(kind: str, *fold: str) -> int:
    """Run a worker, or the process of it that folds, where the mistake is made."""
    if fold:
        {"commit-first": commit_first, "state-outside": state_outside}[kind]()
        _, *numbers = fold
        return run_fold(read_settings(), *map(int, numbers))
    command = (sys.executable, "-m", "tests.chaos.broken", kind)
    child.cli_command = lambda _worker, *fold: (*command, *fold)
    return run_worker(read_settings())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
