"""MongoDB's Extended JSON: values that JSON has no type for, as objects such as `{"$oid": "..."}`.

Both forms are read, the canonical and the relaxed one, and of the earlier version what Debezium's
connector writes. What is no such value, or one of another kind, stays as it is.
Source: MongoDB's specification "Extended JSON (v2)", table of conversions; of version 1, dates in
milliseconds, and binary data with `$type` beside them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from millrace.schemas import EventSchema, RecordError
from millrace.schemas.codec.types import Decimals, Moment, Type, kind_of
from millrace.schemas.paths import branches_at
from millrace.streams.sources.values import iso_to_ms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS_PER_MS = 1_000_000
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_FRACTIONAL = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?|NaN|[+-]?Infinity"
)
_NUMERIC = {"int", "long", "float", "double"}
_MAX_REMEMBERED = 1_000


class ExtendedJson:
    """Reads rows of MongoDB.

    Parameters
    ----------
    schema
        What they are read as: a date or a decimal becomes what its field takes. None where nobody
        knows it: a date is then in milliseconds, and a decimal a number.

    Examples
    --------
    >>> ExtendedJson(None).plain(b'{"_id": {"$oid": "5f"}, "n": [{"$numberLong": "7"}]}')
    b'{"_id":"5f","n":[7]}'
    """

    def __init__(self, schema: EventSchema | None) -> None:
        self._schema = schema
        self._branches = lru_cache(_MAX_REMEMBERED)(self._branches_at)

    def plain(self, row: bytes) -> bytes:
        """Return a row with plain values; one that is no JSON stays as it is."""
        if b'"$' not in row:
            return row
        try:
            document = self.value(json.loads(row), "")
            text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            return row
        return text.encode(errors="backslashreplace")  # which is JSON's own way of writing it

    def value(self, value: Any, path: str | None) -> Any:
        """Return a value of JSON with plain ones for those that are extended.

        Parameters
        ----------
        path
            Of the field; empty for the row, and None in a list.
        """
        if isinstance(value, list):
            return [self.value(each, None) for each in value]
        if not isinstance(value, dict):
            return value
        kind = next(iter(value), "")
        if not kind.startswith("$"):
            return {name: self.value(each, _path(path, name)) for name, each in value.items()}
        read = _KINDS.get(kind)
        if read is None or not value.keys() <= {kind, "$type"}:
            return value
        try:
            return read(value, self._branches(path) if path else ())
        except (ValueError, TypeError, LookupError, RecordError):
            return value  # the reader of the row says what is wrong with it

    def _branches_at(self, path: str) -> tuple[Type, ...]:
        if self._schema is None:
            return ()
        return branches_at(self._schema.as_written.type, path) or ()


def plain_id(text: str) -> object:
    r"""Return an id that Debezium's connector for MongoDB has written into a key, as text in JSON.

    Examples
    --------
    >>> plain_id('"m1"'), plain_id('{"$oid": "596e"}'), plain_id("1004"), plain_id("m1")
    ('m1', '596e', '1004', 'm1')
    """
    if text[:1] not in ('"', "{"):
        return text
    try:
        found = ExtendedJson(None).value(json.loads(text), "")
    except (ValueError, RecursionError):
        return text
    return text if isinstance(found, dict) else found


def _path(before: str | None, name: str) -> str | None:
    return before if before is None else f"{before}.{name}".lstrip(".")


def _object_id(value: Mapping[str, Any], _: tuple[Type, ...]) -> str:
    return _text(value["$oid"])


def _whole(value: Mapping[str, Any], _: tuple[Type, ...]) -> int:
    (given,) = value.values()
    return int(_matching(_WHOLE, given))


def _double(value: Mapping[str, Any], _: tuple[Type, ...]) -> float:
    (given,) = value.values()
    return float(_matching(_FRACTIONAL, given))


def _decimal(value: Mapping[str, Any], branches: tuple[Type, ...]) -> str | float:
    text = _matching(_FRACTIONAL, value["$numberDecimal"])
    is_text = _is_text(branches) or any(isinstance(each, Decimals) for each in branches)
    return text if is_text else float(text)


def _date(value: Mapping[str, Any], branches: tuple[Type, ...]) -> str | int:
    given = value["$date"]
    if isinstance(given, str):
        time_ms = iso_to_ms(given)
    elif isinstance(given, dict):
        time_ms = int(_matching(_WHOLE, given["$numberLong"]))
    else:
        time_ms = int(_matching(_WHOLE, given))
    if _is_text(branches):
        return _iso(time_ms)
    unit = next((each.nanoseconds for each in branches if isinstance(each, Moment)), None)
    return time_ms * _NANOSECONDS_PER_MS // (unit or _NANOSECONDS_PER_MS)


def _iso(time_ms: int) -> str:
    try:
        time = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError as error:
        raise ValueError from error
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _binary(value: Mapping[str, Any], _: tuple[Type, ...]) -> str:
    given, subtype = value["$binary"], value.get("$type")
    if isinstance(given, dict):
        given, subtype = given["base64"], given["subType"]
    text = _text(given)
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError from error
    is_uuid = len(data) == 16 and int(_text(subtype), 16) == 4
    return str(UUID(bytes=data)) if is_uuid else text


def _uuid(value: Mapping[str, Any], _: tuple[Type, ...]) -> str:
    return _text(value["$uuid"])


def _is_text(branches: tuple[Type, ...]) -> bool:
    kinds = {*map(kind_of, branches)}
    return "string" in kinds and not kinds & _NUMERIC


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _matching(pattern: re.Pattern[str], value: object) -> str:
    text = str(value) if type(value) in (int, float) else _text(value)
    if not pattern.fullmatch(text):
        raise ValueError
    return text


_KINDS: Mapping[str, Callable[[Mapping[str, Any], tuple[Type, ...]], object]] = {
    "$oid": _object_id,
    "$numberInt": _whole,
    "$numberLong": _whole,
    "$numberDouble": _double,
    "$numberDecimal": _decimal,
    "$date": _date,
    "$binary": _binary,
    "$uuid": _uuid,
}
