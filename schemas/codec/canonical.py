"""A schema's fingerprint: what a record in single-object encoding says of its writer.

It is the CRC-64-AVRO of the schema in "Parsing Canonical Form" (Avro 1.12 specification): full
names, and nothing that a reader of the bytes does not need. fastavro makes it, of a schema that
`parsing` has found to be in order. What fastavro refuses all the same is no schema for others.
"""

from __future__ import annotations

from typing import Any

import fastavro
from fastavro.schema import SchemaParseException, fingerprint, to_parsing_canonical_form

from millrace.schemas.errors import DefinitionError

_LEFT_OUT = ("default", "logicalType")


def fingerprint_of(schema: dict[str, object]) -> bytes:
    """Return the eight bytes of the fingerprint, little-endian.

    Raises
    ------
    DefinitionError
        fastavro refuses the schema.

    Examples
    --------
    >>> fingerprint_of({"type": "record", "name": "Pig", "fields": []}).hex()
    '718478242c67c7a9'
    """
    try:
        text = to_parsing_canonical_form(fastavro.parse_schema(_bare(schema), _force=True))
    except (SchemaParseException, ValueError, TypeError, KeyError) as error:
        raise DefinitionError(
            f"schema must be valid Avro; got {type(error).__name__}: {error}"
        ) from error
    return bytes.fromhex(fingerprint(text, "CRC-64-AVRO"))


def _bare(schema: object) -> Any:
    """Return a schema without what is no part of the canonical form and `parsing` has checked."""
    if isinstance(schema, dict):
        return {name: _bare(each) for name, each in schema.items() if name not in _LEFT_OUT}
    return [_bare(each) for each in schema] if isinstance(schema, list) else schema
