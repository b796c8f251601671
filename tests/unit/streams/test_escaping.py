"""A terminal obeys nothing in what somebody sent."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from millrace.streams.escaping import printable, printable_json

OBEYED = [
    *("\x00", "\x07", "\x08", "\r", "\x1b", "\x7f", "\x80", "\x9b", "\x9f", "\u200b", "\u200e"),
    *("\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff", "\U000e0041", "\ud800"),
]


@pytest.mark.parametrize("character", OBEYED, ids=ascii)
def test_what_is_obeyed_is_written_out(character: str) -> None:
    """Controls of both sets, directions, invisible characters, unpaired surrogates."""
    shown = printable(f"a{character}b")
    assert shown == f"a{character.encode('unicode_escape').decode()}b"
    assert json.loads(printable_json(json.dumps(character, ensure_ascii=False))) == character


def test_no_character_of_unicode_is_left_to_obey() -> None:
    """Lines and columns stay, unless they are data in the middle of a line."""
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    for shown in (printable(everything), printable_json(everything)):
        left = {c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert left == {"\n", "\t"}
    assert printable("a\nb\tc", keep="") == "a\\nb\\tc"


@pytest.mark.parametrize("text", ["", "plain [/red] :smile:", "Zürich", "東京", "emoji 🎉", "é"])
def test_what_is_shown_stays(text: str) -> None:
    """Letters of every script, and what would be markup elsewhere."""
    assert printable(text) == printable_json(text) == text
