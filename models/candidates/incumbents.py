"""How challengers are named after the candidates with which they compete."""

from __future__ import annotations

_MARK = ".challenger@"  # the name of a candidate has no dot
_DEPLOY = "deploy"


def challenger_name(incumbent: str, since: int | str) -> str:
    """Return the name of the challenger that was made at a version of the models, or a deploy."""
    return f"{incumbent}{_MARK}{since}"


def of_deploy(number: int) -> str:
    """Return what a challenger is named after that a deploy, which is that command, brought.

    Examples
    --------
    >>> challenger_name("tree", of_deploy(12))
    'tree.challenger@deploy12'
    """
    return f"{_DEPLOY}{number}"


def deploy_of(name: str) -> int | None:
    """Return the number of the deploy that brought the challenger `name`; None if a drift did."""
    _, is_by_deploy, number = name.partition(_MARK + _DEPLOY)
    return int(number) if is_by_deploy else None


def incumbent_of(name: str) -> str:
    """Return the incumbent of the challenger `name`; a candidate is its own.

    Examples
    --------
    >>> incumbent_of(challenger_name("hoeffding_tree", 1056)), incumbent_of("hoeffding_tree")
    ('hoeffding_tree', 'hoeffding_tree')
    """
    return name.partition(_MARK)[0]


def since_of(challenger: str) -> str:
    """Return the version or deploy that a challenger is named after.

    Examples
    --------
    >>> since_of(challenger_name("hoeffding_tree", 1056))
    '1056'
    """
    return challenger.partition(_MARK)[2]
