"""The watch: a plain consumer of `predictions`, which notices when they go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event as Flag
from threading import Thread

from confluent_kafka import OFFSET_END

from millrace.schemas import shipped
from tests.chaos.topics import PARTITIONS, Follower


class Watch:
    """Follows `predictions` and knows when the newest of each partition was made.

    A prediction carries the time at which it was made. All processes share one clock, so one
    made after a fault tells that its partition has recovered, while one that only arrives after
    it tells nothing.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.seen = 0
        self._newest_ms = [0] * PARTITIONS
        self._ended = Flag()
        self._predictions = Follower(bootstrap, topic, OFFSET_END)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_newer(self, seconds: float, look: Callable[[], object]) -> float | None:
        """Wait until every partition has predictions made from now on.

        Returns
        -------
        float or None
            The seconds that the last partition took; None where it took too long.
        """
        started, now_ms = time.monotonic(), time.time() * 1000
        while min(self._newest_ms) <= now_ms:
            if time.monotonic() - started > seconds:
                return None
            look()
            time.sleep(0.02)
        return time.monotonic() - started

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._predictions.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for message in self._predictions.take(0.02):
                made = shipped("prediction").decode(message.value())
                partition = message.partition() or 0
                made_ms = max(self._newest_ms[partition], made["prediction_time_ms"])
                self._newest_ms[partition] = made_ms
                self.seen += 1
