"""Topics of the user's own that a pipeline reads, beside its `events` and `labels`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from millrace.models.parameters import choice, named_fields, require, text, whole_number
from millrace.models.pipeline.record_parts import OF_RECORD, EventId, Part, check_parts, id_parts
from millrace.schemas.records import LabelValue

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")

Decode: TypeAlias = Callable[[bytes, dict[str, bytes | None]], Mapping[str, Any] | None]
"""From the bytes and the headers of a record to what is in it."""


class Start(StrEnum):
    """Where a topic is read from when it is read for the first time."""

    EARLIEST = "earliest"
    LATEST = "latest"


class OnUpdate(StrEnum):
    """What a row is that has changed."""

    IGNORE = "ignore"
    EVENT = "event"


@named_fields
@dataclass(frozen=True)
class Source:
    """A topic with events, whoever writes it.

    Parameters
    ----------
    topic
        Its name. `MILLRACE_TOPICS` may give it another one where the pipeline runs.
    envelope
        What its records are wrapped in: `plain` (nothing), `debezium`, `cloudevents` or `connect`.
    on_update
        What a changed row is, where the envelope says that it has changed: nothing (`ignore`), or
        an `event` of its own.
    decode
        Instead of an envelope: a callable that is given the bytes of a record and its headers, and
        returns the event as JSON would have it. None: the record is no event.
    start
        Where the topic is read from when it is read for the first time: from its beginning, as far
        as the broker has it (`earliest`), from its end (`latest`), or from the first record with a
        timestamp of this `datetime` or a later one. The chain `full` reads from the beginning.

    Raises
    ------
    DefinitionError
        Naming the parameter, what it must be and what was given.

    Examples
    --------
    >>> Source("shop.public.payments", envelope="debezium").topic
    'shop.public.payments'
    """

    topic: str
    envelope: str = "plain"
    on_update: OnUpdate | str = OnUpdate.IGNORE
    decode: Decode | None = None
    start: Start | str | datetime = Start.EARLIEST

    def __post_init__(self) -> None:
        _check_topic("Source", self.topic)
        text("envelope", self.envelope)
        _check_decode(self.decode, self.envelope)
        object.__setattr__(self, "on_update", choice("on_update", self.on_update, OnUpdate))
        object.__setattr__(self, "start", _checked_start(self.start))


@named_fields
@dataclass(frozen=True)
class LabelSource:
    """A topic with labels, in whatever form somebody writes them: JSON objects.

    It may be the topic of a `Source`, too: then a record is an event, a label, or both. The label
    comes after the event.

    Fields are named by their paths: `payment.id` is the field `id` in the object `payment`.

    Parameters
    ----------
    topic
        Its name. `MILLRACE_TOPICS` may give it another one where the pipeline runs.
    event_id
        Field with the id of the event, or several; or `MessageKey`, `Header` or `Attribute`.
    label
        Field with the label, or a callable that is given the object and returns the label. None:
        the record says nothing.
    values
        What the values of that field mean as labels; by default, they are the labels. A value that
        is not among them is rejected, unless it is null: then the record says nothing. Where null
        is among them, a record without the field is rejected.
    time
        Field, or other part of the record, that says when the label became known: milliseconds
        since the Unix epoch, or ISO 8601 text, within the pipeline's `earliest` and `max_ahead`.
    key
        Field, or other part of the record, with the key of the event. It is needed where models are
        kept by partition or by key, and the pipeline has a key.
    priority
        Of several labels of an event, the one of the largest priority counts, as long as none is
        learned: see `LabelConflicts`. Other labels than those of sources have 1.
    envelope
        What its records are wrapped in, as with a `Source`. A row that has changed is a label, too.
    decode, start
        As with a `Source`.

    Raises
    ------
    DefinitionError
        Naming the parameter, what it must be and what was given.

    Examples
    --------
    >>> by_reason = LabelSource(
    ...     "chargebacks", event_id="payment.id", label=lambda row: row["reason"] is not None
    ... )
    >>> by_verdict = LabelSource(
    ...     "reviews", event_id="order", label="verdict", values={"fraud": True, "ok": False}
    ... )
    """

    topic: str
    event_id: EventId = field(kw_only=True)
    label: str | Callable[[Mapping[str, Any]], LabelValue | None] = field(kw_only=True)
    values: Mapping[Any, LabelValue] | None = field(default=None, kw_only=True)
    time: Part | None = field(default=None, kw_only=True)
    key: Part | None = field(default=None, kw_only=True)
    priority: int = field(default=1, kw_only=True)
    envelope: str = field(default="plain", kw_only=True)
    decode: Decode | None = field(default=None, kw_only=True)
    start: Start | str | datetime = field(default=Start.EARLIEST, kw_only=True)

    def __post_init__(self) -> None:
        _check_topic("LabelSource", self.topic)
        text("envelope", self.envelope)
        require(bool(self.event_id), "event_id must be one field or more", self.event_id)
        check_parts("event_id", id_parts(self.event_id), OF_RECORD)
        for parameter in ("time", "key"):
            part = getattr(self, parameter)
            check_parts(parameter, [] if part is None else [part], OF_RECORD)
        whole_number("priority", self.priority, least=0)
        _check_decode(self.decode, self.envelope)
        is_read = callable(self.label) or (isinstance(self.label, str) and self.label != "")
        require(is_read, "label must be the name of a field, or a callable", self.label)
        object.__setattr__(self, "start", _checked_start(self.start))
        is_mapping = self.values is None or isinstance(self.values, Mapping)
        require(is_mapping, "values must be a mapping of values to labels, or None", self.values)


@dataclass(frozen=True)
class EventsAndLabels:
    """A topic of which a record may be an event, a label, or both.

    Parameters
    ----------
    events, labels
        How its records are read as each of them.
    """

    events: Source
    labels: LabelSource

    @property
    def topic(self) -> str:
        return self.events.topic

    @property
    def start(self) -> Start | str | datetime:
        return self.events.start


TopicSource: TypeAlias = Source | LabelSource | EventsAndLabels
"""All that a topic of the user's own is read as."""


def _checked_start(start: object) -> Start | datetime:
    if isinstance(start, datetime):
        require(start.tzinfo is not None, "start must be a datetime with a time zone", start)
        return start
    return choice("start", start, Start)


def _check_decode(decode: object, envelope: str) -> None:
    require(decode is None or callable(decode), "decode must be a callable, or None", decode)
    must = "envelope must be plain where decode is given"
    require(decode is None or envelope == "plain", must, envelope)


def is_topic_name(topic: object) -> bool:
    """Whether Kafka takes something as the name of a topic.

    Examples
    --------
    >>> is_topic_name("shop.public.payments"), is_topic_name("payments 2"), is_topic_name("..")
    (True, False, False)
    """
    return isinstance(topic, str) and bool(_TOPIC.fullmatch(topic)) and topic not in (".", "..")


def _check_topic(kind: str, topic: object) -> None:
    must = f"the topic of a {kind} must be up to 249 letters, digits, '.', '_' and '-'"
    require(is_topic_name(topic), must, topic)


def check_sources(events: Sequence[Source], labels: Sequence[LabelSource]) -> None:
    """Refuse sources that are none, and a topic that is named twice as the same.

    Raises
    ------
    DefinitionError
        There are such.
    """
    declared: tuple[tuple[str, Sequence[Source | LabelSource], type], ...]
    declared = ("events", events, Source), ("labels", labels, LabelSource)
    for parameter, given, kind in declared:
        is_list = isinstance(given, list | tuple) and all(isinstance(e, kind) for e in given)
        require(is_list, f"{parameter} must be a list of {kind.__name__}(...)", given)
        names = [each.topic for each in given]
        twice = sorted({each for each in names if names.count(each) > 1})
        require(not twice, f"{parameter} must name each topic once", twice)
    for source, label in of_one_topic(events, labels):
        where = f"of Source({source.topic!r}) and of LabelSource({source.topic!r})"
        must = f"start {where} must be the same, since the topic is read once"
        require(source.start == label.start, must, (str(source.start), str(label.start)))
        is_alike = source.envelope == label.envelope or source.decode or label.decode
        must = f"envelope {where} must be the same"
        require(bool(is_alike), must, (source.envelope, label.envelope))


def of_one_topic(
    events: Iterable[Source], labels: Iterable[LabelSource]
) -> Iterator[tuple[Source, LabelSource]]:
    """Yield the sources of events and of labels that have one topic."""
    by_topic = {each.topic: each for each in labels}
    for source in events:
        if source.topic in by_topic:
            yield source, by_topic[source.topic]
