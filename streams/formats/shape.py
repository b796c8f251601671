"""The shape of a record that was read as JSON, where Avro has not checked it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from millrace.models.user_code import shown
from millrace.schemas import RecordError, RejectReason
from millrace.streams.formats.base import RecordType


def check_shape(avro: RecordType, record: object) -> None:
    """Refuse what is not a record of the type, as JSON has it.

    Raises
    ------
    RecordError
        A field is missing, or of another type.
    """
    if not isinstance(record, dict):
        raise RecordError(RejectReason.WRONG_SHAPE, f"a {avro.name} must be an object")
    for field in avro.fields:
        name, declared = str(field["name"]), field["type"]
        if name not in record:
            must = f"a {avro.name} must have the field {name!r}"
            raise RecordError(RejectReason.MISSING_FIELD, f"{must}; got {shown([*record])}")
        if not _has_type(record[name], declared):
            must = f"field {name!r} of a {avro.name} must be of the type {shown(declared)}"
            raise RecordError(RejectReason.ILL_TYPED_FIELD, f"{must}; got {shown(record[name])}")


_TYPES: Mapping[object, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (int, float, type(None)),  # null stands for NaN
    "double": (int, float, type(None)),
    "string": (str,),
    "enum": (str,),
    "bytes": (str,),  # in base64
}


def _has_type(value: object, declared: object) -> bool:
    """Whether JSON's value is one that the Avro type would have been written as."""
    if isinstance(declared, list):
        return any(_has_type(value, each) for each in declared)
    schema: Mapping[str, object] = declared if isinstance(declared, dict) else {"type": declared}
    match schema["type"]:
        case "map":
            return isinstance(value, dict) and all(
                _has_type(each, schema["values"]) for each in value.values()
            )
        case "array":
            return isinstance(value, list) and all(
                _has_type(each, schema["items"]) for each in value
            )
        case "record":
            fields = cast(list[dict[str, object]], schema["fields"])
            return isinstance(value, dict) and all(
                each["name"] in value and _has_type(value[str(each["name"])], each["type"])
                for each in fields
            )
        case kind:
            return type(value) in _TYPES[kind]
