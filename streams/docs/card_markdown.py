r"""A model card as Markdown (CommonMark, with GitHub's tables).

Whatever a text holds stays text: each character that Markdown could read as more has a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from millrace.streams.docs.card import Card, Part, Points, Table
from millrace.streams.escaping import printable

_MARKS = re.compile(r"([\\`*\[\]<>|~&$]|(?<!\w)_|_(?!\w))")  # an underscore in a word is one
_AT_BEGIN = re.compile(r"^(#|[+-](?=[ +-]|$)|\d+(?=[.)](?: |$)))")


def card_markdown(card: Card) -> str:
    """Return a card as Markdown."""
    return "\n\n".join(_blocks(card)) + "\n"


def _blocks(card: Card) -> Iterator[str]:
    yield f"# {_text(card.name)}"
    yield _text(card.lead)
    for title, parts in card.sections.items():
        yield f"## {_text(title)}"
        yield from map(_part, parts)
    yield f"*{_text(card.made)}*"


def _part(part: Part) -> str:
    if isinstance(part, Points):
        return "\n".join(f"- {_text(each)}" for each in part.sentences)
    if isinstance(part, Table):
        return "\n".join(_table(part))
    return _text(part)


def _table(table: Table) -> Iterator[str]:
    columns = table.columns or [""] * max(map(len, table.rows), default=1)
    yield _row(columns)
    yield "|" + "---|" * len(columns)
    yield from map(_row, table.rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _text(text: str) -> str:
    r"""Return text that Markdown reads as text, in one line.

    Examples
    --------
    >>> print(_text("a|b <b>*c* own_tree _x_"), _text("# 1"), _text("1. x 1.5"), _text("1.5"))
    a\|b \<b\>\*c\* own_tree \_x\_ \# 1 1\. x 1.5 1.5
    """
    line = _MARKS.sub(r"\\\1", " ".join(printable(text).split()))
    return _AT_BEGIN.sub(lambda found: _escaped(found.group()), line)


def _escaped(begin: str) -> str:
    return f"\\{begin}" if not begin.isdigit() else begin + "\\"
