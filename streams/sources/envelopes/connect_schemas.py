"""What the schema says that Kafka Connect's JSON converter writes beside a row.

Source: `JsonConverter` of Apache Kafka: `{"schema": {"type": "struct", "fields": [...]}, ...}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_DECIMAL = "org.apache.kafka.connect.data.Decimal"


def decimals_of(value: bytes, row: str | None = None) -> set[str]:
    """Return the paths of the fields of a row that are decimals: base64, unless it is configured.

    Parameters
    ----------
    value
        A record, in JSON or not.
    row
        The field that has the row; None where the payload is the row.

    Examples
    --------
    >>> amount = {"field": "amount", "type": "bytes", "name": _DECIMAL}
    >>> decimals_of(json.dumps({"schema": {"type": "struct", "fields": [amount]}}).encode())
    {'amount'}
    """
    try:
        schema = json.loads(value)["schema"]
        if row is not None:
            schema = next(each for each in schema["fields"] if each.get("field") == row)
        return {*_decimals(schema, "")}
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError):
        return set()  # it has no schema, or none of Connect's


def _decimals(schema: Any, before: str) -> Iterator[str]:
    for field in schema["fields"]:
        path = f"{before}{field['field']}"
        if field.get("name") == _DECIMAL:
            yield path
        if field.get("type") == "struct":
            yield from _decimals(field, f"{path}.")
