"""How much time a `tick` lets pass."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from millrace.schemas import CommandError

_MOST_SECONDS = 86_400


def elapsed_ms(arguments: Mapping[str, str]) -> int:
    """Return how many milliseconds have passed, by the arguments of a `tick`.

    Raises
    ------
    CommandError
        They say no such time.

    Examples
    --------
    >>> elapsed_ms({"seconds": "60.0"})
    60000
    >>> elapsed_ms({"seconds": "nan"})
    Traceback (most recent call last):
    millrace.schemas.errors.CommandError: seconds must be a number from 0.001 to 86400; got 'nan'
    """
    text = arguments["seconds"]
    with suppress(ValueError):
        seconds = float(text)
        if 0.001 <= seconds <= _MOST_SECONDS:
            return round(1000 * seconds)
    raise CommandError(f"seconds must be a number from 0.001 to {_MOST_SECONDS}; got {text!r}")
