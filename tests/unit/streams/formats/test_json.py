"""JSON as users consume it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import shipped
from millrace.streams.formats import Outputs
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


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=3))
def test_records_are_written_as_to_json_says(records: list[dict[str, Any]]) -> None:
    """Whoever reads them sees the same values, of the same types."""
    encoder = Outputs("json").encoder(shipped("label"))
    read = [repr(json.loads(each)) for each in encoder.encode_all(records)]
    assert read == [repr(json.loads(to_json(each))) for each in records]


def test_numbers_of_numpy() -> None:
    """A model may answer with them; a number that JSON does not have is null here, too."""
    encoder = Outputs("json").encoder(shipped("prediction"))
    record = {"probabilities": {"a": np.float64(0.25), "b": np.float64(math.nan)}}
    assert json.loads(encoder.encode(record)) == {"probabilities": {"a": 0.25, "b": None}}


def test_text_that_is_no_text() -> None:
    """Half a character cannot be written: the record is rejected."""
    with pytest.raises(UnicodeEncodeError):
        Outputs("json").encoder(shipped("label")).encode({"event_id": "\ud800"})
