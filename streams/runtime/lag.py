"""How many records an agent has yet to read, and whether it has stopped reading them."""

from __future__ import annotations

import time
from collections.abc import Callable

from millrace.streams.kafka.protocols import Place
from millrace.streams.kafka.stall import FetchPosition
from millrace.streams.observability.metrics import Metrics
from millrace.streams.topology.names import full_name
from millrace.streams.topology.topics import shown_name

_NOT_CHECKED = FetchPosition(offset=0, end=0, fetcher_state="")


class Lag:
    """Reports the lag of an agent's partitions, and notices where it does not go down.

    Parameters
    ----------
    agent
        The agent's name.
    metrics
        Where the lag is reported.
    clock
        Seconds, monotonic.
    prefix
        Of the pipeline's topics.
    """

    def __init__(
        self,
        agent: str,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        prefix: str = "",
    ) -> None:
        self._agent = agent
        self._metrics = metrics
        self._clock = clock
        self._prefix = prefix
        self.reset()

    def reset(self) -> None:
        """Forget what is known: the partitions are assigned again, or to another worker."""
        self._ends: dict[Place, int] = {}
        self._checked: dict[Place, FetchPosition] = {}
        self._waiting: dict[Place, tuple[int, float]] = {}

    def note_end(self, place: Place, offset: int) -> None:
        """Note that the consumer has found nothing behind this offset, for now."""
        self._ends[place] = offset

    def note_checked(self, place: Place, position: FetchPosition) -> None:
        """Note how far the broker's partition goes, and how far it has been fetched."""
        self._checked[place] = position

    def report(self, place: Place, offset: int, end: int, is_drained: bool) -> None:
        """Report how many records of a partition wait.

        Parameters
        ----------
        place
            Topic and partition.
        offset
            Of the next record to be folded.
        end
            Of the partition, as far as the consumer knows.
        is_drained
            Whether all that was fetched has been taken. Otherwise a partition may have to wait
            for the others, which is no stall.
        """
        checked = self._checked.get(place, _NOT_CHECKED)
        # Behind the last record there may be transactions' markers, which are never read.
        read = max(offset, self._ends.get(place, 0), checked.offset)
        lag = max(max(end, checked.end) - read, 0)
        topic, partition = place
        shown = shown_name(self._prefix, topic)
        self._metrics.lag_records.labels(self._agent, shown, partition).set(lag)
        if not lag or not is_drained:
            self._waiting.pop(place, None)
        elif self._waiting.get(place, (None,))[0] != offset:
            self._waiting[place] = offset, self._clock()

    def stall(self, seconds: float) -> str:
        """Return which partition has records of which none was taken for so long, or nothing."""
        for place, (offset, since) in [*self._waiting.items()]:
            waited_seconds = self._clock() - since
            if waited_seconds > seconds:
                name = full_name(self._prefix, place[0])
                return (
                    f"stalled: {name}[{place[1]}] has records from offset {offset} on, and none"
                    f" was taken for {waited_seconds:.0f} s{self._cause(place)}"
                )
        return ""

    def _cause(self, place: Place) -> str:
        checked = self._checked.get(place)
        if checked is None or checked.offset < checked.end:
            return ""
        return (
            ": an open transaction holds them back (if its producer is gone,"
            " `kafka-transactions.sh find-hanging` names it and `abort` ends it)"
        )
