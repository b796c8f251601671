"""Where a Kafka record has what a pipeline needs of an event, beside the fields of its value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from millrace.models.parameters import named_fields, text
from millrace.schemas.paths import at


@named_fields
@dataclass(frozen=True)
class MessageKey:
    """The key of the Kafka record, as text in UTF-8.

    Parameters
    ----------
    path
        A field of the key, where that is an object: in JSON (as Debezium writes it, with or without
        a schema), or Avro in Confluent's wire format.
    """

    path: str | None = None

    def __post_init__(self) -> None:
        if self.path is not None:
            text("path of a MessageKey", self.path)


@named_fields
@dataclass(frozen=True)
class Header:
    """A header of the Kafka record, as text in UTF-8; of several with this name, the last.

    Parameters
    ----------
    name
        Of the header.
    """

    name: str

    def __post_init__(self) -> None:
        text("name of a Header", self.name)


@named_fields
@dataclass(frozen=True)
class Attribute:
    """What the envelope of a `Source` says beside the row.

    Examples are `id`, `time` or `subject` of a CloudEvent, and `ts_ms` or `source.lsn` of a change
    event of Debezium's.

    Parameters
    ----------
    path
        Its name, or the path where the envelope has it in an object.
    """

    path: str

    def __post_init__(self) -> None:
        text("path of an Attribute", self.path)


@dataclass(frozen=True)
class TopicPartitionOffset:
    """The place of the Kafka record: `payments-3-1042`, by the topic's name in the definition.

    A record that is produced again is another event; one in a topic that was made anew may have
    the place of an earlier one.
    """


@dataclass(frozen=True)
class PayloadHash:
    """A hash of the bytes of the record's value: 32 hexadecimal digits of BLAKE2b.

    Records with the same bytes are the same event.
    """


Part: TypeAlias = str | MessageKey | Header | Attribute
"""Where something is: in a field, by its path, or elsewhere in the record."""

IdPart: TypeAlias = Part | TopicPartitionOffset | PayloadHash

EventId: TypeAlias = IdPart | Sequence[IdPart]
"""Where the id of an event is.

Of several parts, it has the text of each, with `:` between; in a part, `:` and backslashes have a
backslash before them.
"""


def id_parts(event_id: EventId) -> tuple[IdPart, ...]:
    """Return the parts of an id."""
    if isinstance(event_id, Sequence) and not isinstance(event_id, str):
        return tuple(event_id)
    return (event_id,)


def joined_id(texts: Iterable[str]) -> str:
    r"""Return the id that several parts make: no two of them make the same one.

    Examples
    --------
    >>> joined_id(["1007", "2"]), joined_id(["a:b"]), joined_id(["a:b", "c"])
    ('1007:2', 'a:b', 'a\\:b:c')
    """
    parts = [*texts]
    if len(parts) == 1:
        return parts[0]
    return ":".join(each.replace("\\", r"\\").replace(":", r"\:") for each in parts)


def in_fields(
    part: EventId | None, row: Mapping[str, Any], text: Callable[[object], str] = str
) -> str | None:
    """Return what a row has of a part, as text; None where it has none.

    Examples
    --------
    >>> in_fields(("order.id", "line"), {"order": {"id": 7}, "line": 2}), in_fields("key", {})
    ('7:2', None)
    """
    parts = () if part is None else id_parts(part)
    values = [at(row, each) if isinstance(each, str) else None for each in parts]
    if None in values or not values:
        return None
    return joined_id(map(text, values))


def id_field(event_id: EventId) -> str | None:
    """Return the one field that an id is; None where it is something else."""
    match id_parts(event_id):
        case [str(field)]:
            return field
    return None


def is_at_the_top(part: object) -> bool:
    """Whether something is a field, and not one of a nested record.

    Examples
    --------
    >>> is_at_the_top("id"), is_at_the_top("payment.id"), is_at_the_top(MessageKey())
    (True, False, False)
    """
    return isinstance(part, str) and "." not in part


def field_at_the_top(part: object) -> str | None:
    """Return something that is a field, and not one of a nested record; else None."""
    return part if isinstance(part, str) and is_at_the_top(part) else None


def check_parts(parameter: str, parts: Sequence[object], kinds: tuple[type, ...]) -> None:
    """Refuse what does not say where something is.

    Raises
    ------
    DefinitionError
        Naming the parameter.
    """
    for part in parts:
        if not isinstance(part, kinds):
            text(parameter, part)


OF_RECORD = (MessageKey, Header, Attribute)
OF_ID = (*OF_RECORD, TopicPartitionOffset, PayloadHash)
