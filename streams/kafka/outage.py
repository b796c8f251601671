"""An outage of the broker in the log: one line when it begins, one a minute, one when it is over.

librdkafka tries to connect many times a minute, from every client, and each agent starts again
and again. All of them tell one `Outage`, which counts what it does not log.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

import structlog

_LINE_SECONDS = 60.0
_LONG_SECONDS = 15.0  # longer than it takes to ask a broker that answers

_log = structlog.get_logger(__name__)


class Outage:
    """What one process knows of its connections to the broker. Any thread may tell it.

    Parameters
    ----------
    clock
        Seconds, monotonic.

    Attributes
    ----------
    is_on
        Whether something has failed since `end`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_on = False
        self._clock = clock
        self._lock = Lock()
        self._began = 0.0
        self._failures = 0
        self._is_logged = False
        self._last_line = float("-inf")

    @property
    def is_long(self) -> bool:
        """Whether nothing has succeeded for so long that the broker is away, not one connection."""
        return self.is_on and self._clock() - self._began > _LONG_SECONDS

    def note(self, reason: str) -> None:
        """Count a failure; log it, unless a line of the last minute has said so."""
        with self._lock:
            now = self._clock()
            if not self.is_on:
                self.is_on, self._began, self._failures, self._is_logged = True, now, 0, False
            self._failures += 1
            if now - self._last_line < _LINE_SECONDS:
                return
            self._last_line, self._is_logged = now, True
            seconds, failures = round(now - self._began), self._failures
        _log.warning(
            "the broker cannot be reached", reason=reason, for_seconds=seconds, failures=failures
        )

    def end(self) -> None:
        """Note that the broker has answered."""
        with self._lock:
            if not self.is_on:
                return
            self.is_on = False
            seconds, is_logged = round(self._clock() - self._began, 1), self._is_logged
        if is_logged:
            _log.warning(
                "the broker is reached again", after_seconds=seconds, failures=self._failures
            )
