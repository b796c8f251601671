"""JSON as users consume it."""

from __future__ import annotations

import json
import math

import pytest

from millrace.schemas import RecordError, RejectReason, shipped
from millrace.streams.formats import FORMATS
from millrace.streams.formats.json import to_json


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have(value: float) -> None:
    """NaN and infinity are null, however deep they are; everything else stays."""
    written = {"a": [value, 1.5, (value,)], "b": {"c": value, "d": "NaN"}, "e": value}
    assert json.loads(to_json(written)) == {
        "a": [None, 1.5, [None]],
        "b": {"c": None, "d": "NaN"},
        "e": None,
    }


def test_bytes_and_text() -> None:
    """Bytes are base64; text stays readable; anything else is written as its text."""
    assert to_json({"bytes": b"\xff", "text": "é"}) == '{"bytes": "/w==", "text": "é"}'
    assert to_json([1 + 2j]) == '["(1+2j)"]'
    assert to_json({"a": math.nan, "b": b"\xff"}, indent=1) == '{\n "a": null,\n "b": "/w=="\n}'


@pytest.mark.parametrize("name", ["avro", "json"])
def test_each_format_knows_its_own(name: str) -> None:
    """What a format writes, it recognises and reads back; the other does not recognise it."""
    label = {"event_id": "e1", "label": True, "label_time_ms": None, "key": "k"}
    data = FORMATS[name].encoder(shipped("label")).encode(label)
    assert [each for each, form in FORMATS.items() if form.recognises(data)] == [name]
    assert FORMATS[name].decode(shipped("label"), data) == label


@pytest.mark.parametrize(("name", "data"), [("avro", b"\xc3\x01"), ("json", b"{broken")])
def test_broken_bytes(name: str, data: bytes) -> None:
    """Bytes that are not what they seem are a record error that names the type."""
    with pytest.raises(RecordError) as caught:
        FORMATS[name].decode(shipped("label"), data)
    assert caught.value.reason is RejectReason.MALFORMED
