"""Fields of an event, as they are."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.models.features.base import ExtractAll, Feature, StatelessFeature, check_field
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

    def bind_all(self, schema: EventSchema) -> ExtractAll:
        """Return a function with a place for each field, made for the schema."""
        places = {name: f"fields[{name!r}]" for name in self.chosen}
        pairs = ", ".join(f"{name!r}: {place}" for name, place in places.items())
        nulls = [f"{places[name]} is None" for name in places if "null" in schema.types_of(name)]
        made = f"{{{pairs}}}"
        if nulls:
            made = f"extract(event) if {' or '.join(nulls)} else {made}"
        loop = "for event in events for fields in (event['fields'],)"
        # The source is made of this module's own text, and of names as literals.
        of_all: ExtractAll = eval(f"lambda events: [{made} {loop}]", {"extract": self.extract})  # noqa: S307
        return of_all
