"""What holds for every output format."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.schemas import RecordError, RejectReason, shipped
from millrace.streams.formats import FORMATS, Outputs, OutputSchemas
from millrace.streams.topology.codec import SHIPPED

LABEL = {"event_id": "e1", "label": True, "label_time_ms": None, "key": "k", "source": None}
SCHEMAS = OutputSchemas({name: number for number, name in enumerate(SHIPPED, 7)})


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("written", FORMATS)
def test_each_is_read_whatever_is_written(name: str, written: str) -> None:
    """What a format writes, it alone recognises, and whoever reads outputs reads it back."""
    data = Outputs(written, SCHEMAS).encoder(shipped("label")).encode(LABEL)
    known = [each for each, form in FORMATS.items() if form(SCHEMAS).recognises(data)]
    assert known == [written]
    assert Outputs(name, SCHEMAS).decode(shipped("label"), data) == LABEL


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("count", [1, 3, 500])
def test_records_are_written_together_as_one_by_one(name: str, count: int) -> None:
    """As records, and as columns."""
    encoder = Outputs(name, SCHEMAS).encoder(shipped("label"))
    records = [{**LABEL, "event_id": f"e{number}"} for number in range(count)]
    one_by_one = [*map(encoder.encode, records)]
    columns: dict[str, Any] = {field: [each[field] for each in records] for field in LABEL}
    assert encoder.encode_all(records) == one_by_one
    assert encoder.encode_columns(columns, count) == one_by_one


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", RejectReason.MALFORMED),
        (b"?", RejectReason.MALFORMED),
        (b"\xc3\x01", RejectReason.MALFORMED),
        (b"{broken", RejectReason.MALFORMED),
        (b"{}", RejectReason.MISSING_FIELD),
        (b"\x00", RejectReason.MALFORMED),
        (b"\x00\x00\x00\x00\x07\x02", RejectReason.MALFORMED),
        (b"\x00\x00\x00\x00\x63", RejectReason.UNKNOWN_SCHEMA),
    ],
)
def test_broken_bytes(data: bytes, reason: RejectReason) -> None:
    """Bytes that are no record are a record error."""
    with pytest.raises(RecordError) as caught:
        Outputs(schemas=SCHEMAS).decode(shipped("label"), data)
    assert caught.value.reason is reason
