"""Fields of an event, as they are."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.models.features.base import Feature, StatelessFeature, check_field
from millrace.models.parameters import named, require, text
from millrace.schemas import EventSchema
from millrace.schemas.records import Event, Features


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

    def check(self, schema: EventSchema) -> None:
        for name in self.chosen:
            check_field("fields(): name", name, schema)

    def extract(self, event: Event) -> Features:
        values = event["fields"]
        return {name: value for name in self.chosen if (value := values[name]) is not None}
