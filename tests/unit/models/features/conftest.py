"""What the tests of features share: events as they are in `clean`, a schema, and bound features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.features.base import Extract, Feature
from millrace.schemas import EventSchema
from millrace.schemas.records import Event


def _event(time_ms: int = 0, key: str | None = None, /, **values: Any) -> Event:
    return Event(event_id="1", key=key, event_time_ms=time_ms, label=None, fields=values)


def _bind(feature: Feature, stores: dict[str, dict[str, Any]] | None = None) -> Extract:
    kept = {} if stores is None else stores
    return feature.bind(lambda store: kept.setdefault(store.name, {}))


@pytest.fixture
def event() -> Callable[..., Event]:
    """Make an event from its time, its key and its fields."""
    return _event


@pytest.fixture
def bind() -> Callable[..., Extract]:
    """Bind a feature to stores: name to entries, fresh ones if none are given."""
    return _bind


@pytest.fixture
def payment() -> EventSchema:
    """Return a schema with fields of every kind that features tell apart."""
    types = {
        "amount": ["null", "double"],
        "country": "string",
        "approved": "boolean",
        "tags": {"type": "array", "items": "string"},
    }
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    return EventSchema({"type": "record", "name": "Payment", "fields": fields})
