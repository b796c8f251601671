"""Whatever the types, what is written and read agrees with another Avro library."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import AvroType
from millrace.schemas.codec.avro import HEADER_SIZE_BYTES, MARKER
from millrace.schemas.codec.encoding import encoder
from millrace.schemas.codec.parsing import parse_record
from millrace.schemas.codec.resolution import resolved
from tests.unit.schemas.any_schemas import Drawn, schemas
from tests.unit.schemas.avro_schemas import FORMS, PLAIN_FIELDS, a_value, by_fastavro, record


@given(schemas(), st.data())
def test_any_record_is_that_of_fastavro(drawn: Drawn, data: st.DataObject) -> None:
    """A record of any types is read from fastavro's bytes, and read by fastavro from ours."""
    value = data.draw(drawn.values)
    avro: AvroType[Any] = AvroType(drawn.declared)
    assert avro.decode(avro.header + by_fastavro(drawn.declared, value)) == value
    body = BytesIO(avro.encode(value)[HEADER_SIZE_BYTES:])
    parsed = fastavro.parse_schema(drawn.declared)
    assert fastavro.schemaless_reader(body, parsed, None) == value
    assert body.read() == b""


@given(schemas())
def test_any_fingerprint_is_that_of_fastavro(drawn: Drawn) -> None:
    """The canonical form of any schema has the published fingerprint."""
    parsed = fastavro.parse_schema(drawn.declared)
    text = fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO")
    assert AvroType(drawn.declared).header == MARKER + bytes.fromhex(text)


@given(PLAIN_FIELDS, st.data())
def test_what_is_compiled_agrees_with_what_is_not(
    fields: list[tuple[str, str]], data: st.DataObject
) -> None:
    """The compiled functions of plain records do what the general ones do."""
    schema = record(*(FORMS[form](name) for name, form in fields))
    value = a_value(fields, data)
    avro: AvroType[Any] = AvroType(schema)
    declared = parse_record(schema)
    body = avro.encode(value)[HEADER_SIZE_BYTES:]
    assert encoder(declared)(value) == body
    assert resolved(declared, declared)(body, 0) == (value, len(body))
