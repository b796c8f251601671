"""An interval: what is due again some seconds after it was last done."""

from __future__ import annotations

import time
from collections.abc import Callable


class Interval:
    """Tells when something is due again.

    Parameters
    ----------
    seconds
        From one time to the next.
    clock
        Seconds, monotonic.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self.restart()

    @property
    def is_due(self) -> bool:
        """Whether more than the interval has passed since the last restart."""
        return self._clock() - self._since > self._seconds

    def restart(self) -> None:
        """Count from now."""
        self._since = self._clock()
