"""The bytes on `commands` become commands: JSON, or Avro in single-object encoding."""

from __future__ import annotations

import json
from functools import cache
from typing import cast

from millrace.models.user_code import told
from millrace.schemas import Codec, RecordError, RejectReason, shipped
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.codec.documents import MisfitError, document_reader
from millrace.schemas.records import Command

MAX_BYTES = 8 * 1024 * 1024
"""Size of the largest command: a `deploy` of some ten thousand features."""


def read_command(data: bytes | None) -> Command:
    r"""Return the command in a record's value.

    Arguments in JSON may be numbers and booleans; they are text from here on.

    Raises
    ------
    RecordError
        It is none.

    Examples
    --------
    >>> read_command(b'{"command": "skip", "arguments": {"offset": 7}}')["arguments"]
    {'offset': '7'}
    """
    if data is None:
        raise RecordError(RejectReason.EMPTY, "the command has no value")
    if len(data) > MAX_BYTES:
        detail = f"a command must have at most {MAX_BYTES:,} bytes; got {len(data):,}"
        raise RecordError(RejectReason.OVERSIZED, detail)
    if data.startswith(MARKER):
        return cast(Command, _codec().decode(data)[1])
    try:
        document = json.loads(data)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate is no text
    except (ValueError, RecursionError) as error:
        detail = f"a command must be JSON or Avro; it is neither: {told(error)}"
        raise RecordError(RejectReason.MALFORMED, detail) from error
    if not isinstance(document, dict):
        raise RecordError(RejectReason.WRONG_SHAPE, "a command in JSON must be an object")
    arguments = document.get("arguments")
    if isinstance(arguments, dict):
        texts = {name: _text(value) for name, value in arguments.items()}
        document = document | {"arguments": texts}
    try:
        return cast(Command, document_reader(shipped("command").type)(document))
    except MisfitError as error:
        field = ".".join(error.path)
        if error.is_missing:
            detail = f"a command must have the field {field!r}; it has {[*document]}"
            raise RecordError(RejectReason.MISSING_FIELD, detail) from None
        detail = f"field {field!r} of a command {error}"
        raise RecordError(RejectReason.ILL_TYPED_FIELD, detail) from None


@cache
def _codec() -> Codec:
    return Codec([shipped("command")])


def _text(value: object) -> object:
    return json.dumps(value) if isinstance(value, bool | int | float) else value
