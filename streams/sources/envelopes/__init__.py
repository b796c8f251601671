"""Envelopes: what wraps the rows on other people's topics.

A new one is a module with an `Envelope`, and an entry here.
"""

from collections.abc import Mapping

from millrace.streams.sources.envelopes.base import Envelope, Opened, Says
from millrace.streams.sources.envelopes.cloudevents import CloudEvents
from millrace.streams.sources.envelopes.connect import Connect
from millrace.streams.sources.envelopes.debezium import Debezium
from millrace.streams.sources.envelopes.plain import Plain

ENVELOPES: Mapping[str, type[Envelope]] = {
    each.name: each for each in (Plain, Debezium, CloudEvents, Connect)
}
"""Name to envelope."""

__all__ = ["ENVELOPES", "Envelope", "Opened", "Says"]
