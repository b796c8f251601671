"""Envelopes: what wraps the rows on other people's topics.

A new one is a module with an `Envelope`, and an entry here.
"""

from collections.abc import Mapping

from millrace.models.pipeline.sources import LabelSource, Source
from millrace.schemas import DefinitionError, EventSchema
from millrace.streams.sources.confluent import RegisteredReader
from millrace.streams.sources.envelopes.base import Envelope, Headers, Opened, RowData, Says
from millrace.streams.sources.envelopes.cloudevents import CloudEvents
from millrace.streams.sources.envelopes.connect import Connect
from millrace.streams.sources.envelopes.debezium import Debezium
from millrace.streams.sources.envelopes.decoded import UserDecoded
from millrace.streams.sources.envelopes.plain import Plain

ENVELOPES: Mapping[str, type[Envelope]] = {
    each.name: each for each in (Plain, Debezium, CloudEvents, Connect)
}
"""Name to envelope."""

PLAIN = Plain.name


def envelope_of(
    source: Source | LabelSource, reader: RegisteredReader, schema: EventSchema | None = None
) -> Envelope:
    """Return what opens the records of a source.

    Raises
    ------
    DefinitionError
        There is no such envelope.
    """
    check_envelope(source)
    if source.decode is not None:
        return UserDecoded(source.decode, reader)
    is_event = isinstance(source, Source)
    return ENVELOPES[source.envelope](reader, schema if is_event else None)


def check_envelope(source: Source | LabelSource) -> None:
    """Refuse a source with an envelope that there is not.

    Raises
    ------
    DefinitionError
        Naming those that there are.
    """
    if source.envelope not in ENVELOPES:
        raise DefinitionError(
            f"the envelope of source {source.topic!r} must be one of {', '.join(ENVELOPES)}; got"
            f" {source.envelope!r}"
        )


__all__ = [
    "ENVELOPES",
    "PLAIN",
    "Envelope",
    "Headers",
    "Opened",
    "RowData",
    "Says",
    "check_envelope",
    "envelope_of",
]
