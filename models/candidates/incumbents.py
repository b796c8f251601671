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
    """Return the number of the deploy that brought the challenger `name`; None if none did.

    Examples
    --------
    >>> deploy_of("tree.challenger@deploy12"), deploy_of("tree.challenger@1056")
    (12, None)
    """
    number = name.partition(_MARK + _DEPLOY)[2]
    return int(number) if is_number(number) else None


def is_number(text: str) -> bool:
    """Whether a text is a number as names and commands have it: of ASCII digits, below 2^63.

    Examples
    --------
    >>> is_number("12"), is_number("deploy12"), is_number("9" * 20)
    (True, False, False)
    """
    return text.isascii() and text.isdecimal() and len(text) < len(str(2**63))


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
