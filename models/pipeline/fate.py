"""What becomes of a candidate when a deploy brings another definition."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """What becomes of a candidate.

    Examples
    --------
    >>> Fate("goes on")
    <Fate.GOES_ON: 'goes on'>
    """

    GOES_ON = "goes on"
    """Bit for bit."""
    BEGINS = "begins beside the champion"
    """It is new, and untrained."""
    CHALLENGES = "challenges"
    """An untrained one competes with the old one, which goes on."""
    REPLACES = "replaces"
    """An untrained one takes the old one's place at once."""
    ADOPTS = "adopts"
    """What the old one has learned goes on as it is defined now, with the features of now."""
    RETIRED = "is retired"
    """It is gone."""
