"""Fields of an event, as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from millrace.models.features.base import ExtractAll, Feature, StatelessFeature, check_field
from millrace.models.parameters import named, require, text
from millrace.schemas import EventSchema
from millrace.schemas.codec.avro import ReadBack
from millrace.schemas.paths import getter
from millrace.schemas.records import Event, Features, Fields


@named
def fields(*names: str) -> Feature:
    """Return fields of the event as they are; one that is null is absent.

    Examples
    --------
    >>> fields("age", "income").names
    ('age', 'income')
    """
    require(len(names) > 0, "fields(): names must be one or more fields of the schema", names)
    for name in names:
        text("fields(): each name", name)
    return _Fields(names)


@dataclass(frozen=True)
class _Fields(StatelessFeature):
    chosen: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.chosen

    def alone(self, name: str) -> Feature:
        return _Fields((name,))

    def check(self, schema: EventSchema) -> None:
        for name in self.chosen:
            check_field("fields(): name", name, schema)

    def extract(self, event: Event) -> Features:
        values = event["fields"]
        if self._getters:
            found = ((name, get(values)) for name, get in self._getters)
            return {name: value for name, value in found if value is not None}
        return {name: value for name in self.chosen if (value := values[name]) is not None}

    @cached_property
    def _getters(self) -> Sequence[tuple[str, Callable[[Fields], Any]]]:
        """What gets each field, where some are in nested records."""
        is_nested = any("." in name for name in self.chosen)
        return [(name, getter(name)) for name in self.chosen if is_nested]

    def bind_all(self, schema: EventSchema) -> ExtractAll:
        """Return a function that copies all fields, and drops those that are no features.

        That is faster where few are dropped; the fields must be chosen in the schema's order.
        """
        one_by_one = super().bind_all(schema)
        names = [name for name in schema.field_names if name != schema.label]
        others = [name for name in names if name not in self.chosen]
        nullable = [name for name in self.chosen if "null" in schema.types_of(name)]
        in_order = tuple(name for name in names if name in self.chosen)
        if self.chosen != in_order or len(others) > len(in_order):
            return one_by_one

        def extract_all(events: Sequence[Event]) -> Sequence[Features | None]:
            if ReadBack in {*map(type, events)}:  # any field may be null
                return one_by_one(events)
            made: list[Features] = [event["fields"].copy() for event in events]
            for name in others:
                for features in made:
                    del features[name]
            for name in nullable:
                for features in made:
                    if features[name] is None:
                        del features[name]
            return made

        return extract_all
