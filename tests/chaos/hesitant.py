"""Workers that hesitate before a commit: so a kill hits between what is written and what counts.

`python -m tests.chaos.hesitant control` is a worker like any other, but that the agents whose
names begin so wait before each commit with a command or an audit record. What they have written
is on the topics meanwhile, and only who reads what is not committed sees it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition

from millrace.streams.operators.columns import Made
from millrace.streams.operators.record import AuditRecord, CommandRecord
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.settings import read_settings
from millrace.streams.worker import child
from millrace.streams.worker.fold import run_fold
from millrace.streams.worker.supervisor import run_worker

SECONDS = 3.0
"""Enough for whoever waits to see what was written, and to kill the worker."""


def hesitate(agent: str) -> None:
    """Let the agents whose names begin so wait before a commit that changes who serves."""
    put_all, commit = Outbox.put_all, Outbox.commit
    waiting: set[Outbox] = set()

    def put_and_note(self: Outbox, made: Iterable[Made]) -> None:
        made = [*made]
        is_it = self.transactional_id.startswith(f"{self._prefix}{agent}")
        if is_it and any(isinstance(each, AuditRecord | CommandRecord) for each in made):
            waiting.add(self)
        put_all(self, made)

    def commit_later(self: Outbox, consumer: Consumer, offsets: list[TopicPartition]) -> None:
        if self in waiting:
            waiting.discard(self)
            time.sleep(SECONDS)
        commit(self, consumer, offsets)

    Outbox.put_all = put_and_note  # type: ignore[method-assign]
    Outbox.commit = commit_later  # type: ignore[method-assign]


def main(agent: str, *fold: str) -> int:
    """Run a worker, or the process of it that folds, where it hesitates."""
    if fold:
        hesitate(agent)
        _, *numbers = fold
        return run_fold(read_settings(), *map(int, numbers))
    command = (sys.executable, "-m", "tests.chaos.hesitant", agent)
    child.cli_command = lambda _worker, *fold: (*command, *fold)
    return run_worker(read_settings())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
