"""How far event time has come in a partition: what waits expires by it.

The watermark is the newest time that eight events have reached, so that one event stamped in the
future moves nothing. It is a function of the log: nothing reads a clock. Clocks of producers may
be wrong for long, so two rules bound what they do:

- An event that is further ahead of the others than `reach_ms` counts as if it had the newest time
  of the others. Once eight such events have come, the watermark follows them: there was a gap.
  Each event within reach takes one of them back, so that a clock which is ahead among others that
  are right does not get there.
- An event that is further behind the watermark than `reach_ms` takes away trust; any other one
  adds trust, up to 64. Where no trust is left, the watermark had followed a clock that was wrong:
  it goes back to the newest eight behind, and twice as many events, at most 64, are needed to
  move it ahead again.

Where no events come, the log says how much time has passed (the command `tick`): that much is added
to all that is remembered, as if each event had come so much later. With fewer than eight events,
it counts from the oldest: so what came first expires even if nothing follows, and no single event
in the future takes the others with it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from math import inf
from typing import TypedDict, cast

from millrace.streams.operators.keyed_state import KeyedState

_EVENTS = 8
_MOST_TRUST = 64
_MOST_NEEDED = 64
_KEY = "watermark"
_KEY_01 = "watermark_ms"


class Progress(TypedDict):
    """What is remembered of the event times of a partition, in milliseconds.

    `newest` and `ahead` are in order of time, `behind` in order of arrival.
    """

    newest: list[int]
    ahead: list[int]
    behind: list[int]
    trust: int
    needed: int


class Watermark:
    """The watermark of one partition.

    Parameters
    ----------
    reach_ms
        How far an event may be ahead of the others, or behind the watermark, to count at once.

    Attributes
    ----------
    reach_ms
        See above.
    store
        Its state, of one entry. Release 0.1 saved the newest time alone, which is read, too.

    Examples
    --------
    >>> watermark = Watermark(reach_ms=100)
    >>> [watermark.observe(time_ms) for time_ms in (10, 20, 30, 40, 50, 60, 70, 999_999, 80)]
    [None, None, None, None, None, None, None, 10, 20]
    """

    def __init__(self, reach_ms: int) -> None:
        self.store: KeyedState[Progress] = KeyedState()
        self.reach_ms = reach_ms

    @property
    def time_ms(self) -> int | None:
        """The watermark; None before eight events have come."""
        progress = self.store.get(_KEY) or self._saved_by_01()
        if progress is None or len(progress["newest"]) < _EVENTS:
            return None
        return progress["newest"][0]

    @property
    def latest_ms(self) -> float:
        """A time that the watermark does not pass with what has come; -infinite before any."""
        progress = self.store.get(_KEY) or self._saved_by_01()
        return -inf if progress is None else max(*progress["newest"], *progress["ahead"], -inf)

    def observe(self, time_ms: int) -> int | None:
        """Take in the time of the next event, and return the watermark."""
        progress = self.store.changing(_KEY, self._start)
        newest = progress["newest"]
        if len(newest) < _EVENTS:
            insort(newest, time_ms)
            return newest[0] if len(newest) == _EVENTS else None
        if time_ms >= newest[-1]:
            if time_ms > newest[-1] + self.reach_ms:
                return _run_ahead(progress, time_ms)
            newest.append(time_ms)
            del newest[0]
        elif time_ms > newest[0]:
            insort(newest, time_ms)
            del newest[0]
        elif time_ms < newest[0] - self.reach_ms:
            return _fall_behind(progress, time_ms)
        if progress["trust"] < _MOST_TRUST or progress["ahead"]:
            _count(progress)
        return newest[0]

    def pass_time(self, elapsed_ms: int) -> int | None:
        """Move on by the time that has passed without events, and return the watermark.

        Before eight events have come, that is the oldest time of those that have; None before any.
        """
        if self.latest_ms == -inf:
            return None
        progress = self.store.changing(_KEY, self._start)
        for times in ("newest", "ahead", "behind"):
            progress[times] = [each + elapsed_ms for each in progress[times]]
        return progress["newest"][0]

    def observe_all(self, times_ms: Sequence[int]) -> Sequence[int | None]:
        """Take in the times of several events, and return the watermark after each.

        It is equivalent to one `observe` after the other.
        """
        if not times_ms:
            return []
        progress = self.store.changing(_KEY, self._start)
        newest, trust = progress["newest"], progress["trust"]
        is_full = len(newest) == _EVENTS
        ascending = [newest[-1] if newest else 0, *times_ms]
        if (
            is_full
            and ascending == sorted(ascending)
            and ascending[-1] <= ascending[0] + self.reach_ms
        ):
            seen = [*newest, *times_ms]
            progress["newest"] = seen[-_EVENTS:]
            progress["trust"] = min(trust + len(times_ms), _MOST_TRUST)
            del progress["ahead"][-len(times_ms) :]
            return seen[1 : len(times_ms) + 1]
        return [*map(self.observe, times_ms)]

    def _start(self) -> Progress:
        saved = self._saved_by_01()
        self.store.take(_KEY_01)
        return saved or Progress(newest=[], ahead=[], behind=[], trust=_EVENTS, needed=_EVENTS)

    def _saved_by_01(self) -> Progress | None:
        time_ms = cast(int | None, self.store.get(_KEY_01))
        if time_ms is None:
            return None
        newest = [time_ms] * _EVENTS
        return Progress(newest=newest, ahead=[], behind=[], trust=_MOST_TRUST, needed=_EVENTS)


def _count(progress: Progress) -> None:
    """Gain trust by an event within reach, which takes back one of those ahead."""
    if progress["ahead"]:
        progress["ahead"].pop()
    if progress["trust"] < _MOST_TRUST:
        progress["trust"] += 1


def _run_ahead(progress: Progress, time_ms: int) -> int:
    """Count an event beyond reach as the newest of the others, or follow it with its like."""
    newest, ahead = progress["newest"], progress["ahead"]
    insort(ahead, time_ms)
    if len(ahead) < progress["needed"]:
        newest.append(newest[-1])
        del newest[0]
    else:
        _begin_again(progress, ahead[-_EVENTS:])
    return progress["newest"][0]


def _fall_behind(progress: Progress, time_ms: int) -> int:
    """Lose trust by an event before the horizon, and go back where none is left."""
    behind = progress["behind"]
    behind.append(time_ms)
    del behind[:-_EVENTS]
    progress["trust"] -= 1
    if progress["trust"] <= 0:
        progress["needed"] = min(2 * progress["needed"], _MOST_NEEDED)
        _begin_again(progress, sorted(behind))
    return progress["newest"][0]


def _begin_again(progress: Progress, newest: list[int]) -> None:
    progress["newest"], progress["ahead"], progress["behind"] = newest, [], []
    progress["trust"] = _EVENTS
