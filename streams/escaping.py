r"""Data on a terminal: every character shown, none obeyed.

Ids, labels and topics are what somebody sent. A control character in them could move the cursor,
set a title or turn the direction of the text, so it is written as Python would: `\x1b`, `\u202e`.
"""

from __future__ import annotations

import json
import unicodedata

_KEPT = "\n\t"
_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's control, format (direction, width), unpaired surrogate, and separator characters."""


def printable(text: str, keep: str = _KEPT) -> str:
    r"""Return a text in which what a terminal would obey is written out.

    Parameters
    ----------
    keep
        What stays: by default lines and columns.

    Examples
    --------
    >>> printable("red\x1b[31m \u202eabc \x9b"), printable("Zürich, 東京")
    ('red\\x1b[31m \\u202eabc \\x9b', 'Zürich, 東京')
    """
    if text.isprintable():
        return text
    return "".join(
        _python(each) if _is_obeyed(each) and each not in keep else each for each in text
    )


def printable_json(text: str) -> str:
    r"""Return JSON that means the same, in which what a terminal would obey is written out.

    Examples
    --------
    >>> printable_json('{"id": "a\u202eb\x7f"}')
    '{"id": "a\\u202eb\\u007f"}'
    """
    if text.isprintable():
        return text
    return "".join(_json(each) if _is_obeyed(each) and each not in _KEPT else each for each in text)


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in _OBEYED


def _python(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _json(character: str) -> str:
    return rf"\u{ord(character):04x}" if character.isascii() else json.dumps(character)[1:-1]
