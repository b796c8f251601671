"""How challengers are named after the candidates with which they compete."""

from __future__ import annotations

_MARK = ".challenger@"  # the name of a candidate has no dot


def challenger_name(incumbent: str, since: int) -> str:
    """Return the name of the challenger that was made at a version of the models."""
    return f"{incumbent}{_MARK}{since}"


def incumbent_of(name: str) -> str:
    """Return the incumbent of the challenger `name`; a candidate is its own.

    Examples
    --------
    >>> incumbent_of(challenger_name("hoeffding_tree", 1056)), incumbent_of("hoeffding_tree")
    ('hoeffding_tree', 'hoeffding_tree')
    """
    return name.partition(_MARK)[0]
