"""What is in a reject, for people, and as what could be sent again over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from math import isfinite
from typing import Any

from millrace.schemas import Codec, RecordError, shipped
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.records import Reject
from millrace.streams.serve.definition import ServedDefinition
from millrace.streams.sources.confluent import MAGIC
from millrace.streams.topology.codec import SHIPPED

_MOST_SHOWN_BYTES = 64 * 1024
_HEX_BYTES = 512
_LABELS = "labels"


def decoded(reject: Reject, definition: ServedDefinition, prefix: str) -> dict[str, Any]:
    """Return a reject with its payload decoded, as far as that can be done.

    `encoding` is `json`, `avro`, `text`, `bytes` or `none`; `text` shows the payload; `again` is
    what to mend and to send again, and to where, or null with `why_not`.
    """
    value = reject["value"]
    shown = _shown(value, reject["topic"].removeprefix(prefix), definition)
    is_cut = value is not None and len(value) < reject["value_size_bytes"]
    target = _target(reject["topic"].removeprefix(prefix), shown.pop("type", ""))
    fields = shown.pop("fields")
    again, why_not = None, ""
    if definition.refusal and target != _LABELS:
        why_not = definition.refusal
    elif target is None:
        why_not = "It is neither an event nor a label: it cannot be sent over HTTP."
    else:
        text = json.dumps(fields, indent=2, ensure_ascii=False) if fields is not None else ""
        again = {
            "to": f"/v1/{target}",
            "text": text or shown["text"],
            "is_json": fields is not None,
        }
    more = {"is_cut": is_cut, "again": again, "why_not": why_not}
    return {"reject": {**reject}, **shown, **more}


def _target(topic: str, type_name: str) -> str | None:
    if type_name == "Label" or topic == _LABELS:
        return _LABELS
    return "events" if topic in ("events", "clean") or type_name == "Event" else None


def _shown(value: bytes | None, topic: str, definition: ServedDefinition) -> dict[str, Any]:
    if not value:
        return {"encoding": "none", "text": "", "fields": None}
    if value.startswith(MARKER):
        found = _from_avro(value, topic, definition)
        if found is not None:
            name, fields = found
            text = json.dumps(fields, indent=2, ensure_ascii=False)
            return {"encoding": "avro", "text": text, "fields": fields, "type": name}
        return {"encoding": "avro", "text": _hex(value), "fields": None}
    if value.startswith(bytes([MAGIC])):
        return {"encoding": "confluent", "text": _hex(value), "fields": None}
    return _text(value)


def _text(value: bytes) -> dict[str, Any]:
    """Return what is in JSON or other text; else the bytes."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {"encoding": "bytes", "text": _hex(value), "fields": None}
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        is_text = text.isprintable() or text.lstrip().startswith("{")
        kind, shown = ("text", text[:_MOST_SHOWN_BYTES]) if is_text else ("bytes", _hex(value))
        return {"encoding": kind, "text": shown, "fields": None}
    if not isinstance(fields, dict):
        return {"encoding": "json", "text": text[:_MOST_SHOWN_BYTES], "fields": None}
    fields = _plain(fields)
    text = json.dumps(fields, indent=2, ensure_ascii=False)
    return {"encoding": "json", "text": text, "fields": fields}


def _from_avro(
    value: bytes, topic: str, definition: ServedDefinition
) -> tuple[str, dict[str, Any]] | None:
    """Return the type and the fields of a record in Avro; None where it cannot be read."""
    schema = definition.event_schema
    if topic == "clean":
        codec: Any = schema.clean_codec
    elif topic == "features":
        codec = Codec([SHIPPED["FeatureVector"]])
    else:
        codec = schema.codec
    with suppress(RecordError):
        name, record = codec.decode(value)
        if name == "Event" and "fields" in record:
            record = record["fields"]
        return name, _plain(record)
    with suppress(RecordError):
        return "Label", _plain(shipped("label").decode(value))
    return None


def _plain(value: Any) -> Any:
    """Return a value of Avro as JSON has it where events are sent: see the reference of topics."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, str | int | float | None):
        return value
    return str(value) if isinstance(value, Decimal) else repr(value)


def _hex(value: bytes) -> str:
    """Return the first bytes in hexadecimal, sixteen in a line, with what they are as text."""
    lines = []
    for start in range(0, min(len(value), _HEX_BYTES), 16):
        part = value[start : start + 16]
        text = "".join(chr(each) if 32 <= each < 127 else "." for each in part)
        lines.append(f"{start:04x}  {part.hex(' '):<47}  {text}")
    if len(value) > _HEX_BYTES:
        lines.append(f"... {len(value) - _HEX_BYTES:,} bytes more")
    return "\n".join(lines)
