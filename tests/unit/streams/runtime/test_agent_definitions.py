"""What an agent makes of definitions, of which more become known while it runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import EventSchema
from millrace.schemas.records import Event
from millrace.streams.formats import Outputs
from millrace.streams.operators.columns import as_records
from millrace.streams.operators.record import Origin
from millrace.streams.runtime.definitions import AgentDefinitions, Definitions
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.factory import TaskFactory

FEATURE = AgentSpec(("feature",))


class Growing(Definitions):
    """Definitions of which one more is found once it is looked for."""

    later: EventSchema | None = None

    def look_for_more(self) -> bool:
        found, self.later = self.later, None
        if found is not None:
            self._schemas["later"] = found
        return found is not None


@pytest.mark.parametrize("is_found_before", [False, True], ids=["by the first", "by another agent"])
def test_each_partition_reads_what_one_has_found(
    make_pipeline: Callable[..., Pipeline], is_found_before: bool
) -> None:
    """An event of a schema that is new is read in all partitions, whoever looked for it first."""
    pipeline = make_pipeline()
    schema = pipeline.event_schema.as_written.schema
    more = {"name": "more", "type": "double", "default": 0.0}
    later = EventSchema(schema | {"fields": [*schema["fields"], more]}, pipeline.label)
    definitions = Growing(pipeline)
    factory = TaskFactory(pipeline, FEATURE, 1, 10**6)
    found = AgentDefinitions(definitions, factory, Outputs())
    tasks = [found.live(definitions.own) for _ in range(3)]
    definitions.later = later
    if is_found_before:
        definitions.look_for_more()
    fields = {"id": "e1", "a": 1.0, "b": 2.0, "more": 3.0}
    event = Event(event_id="e1", key=None, event_time_ms=1, label=None, fields=fields)
    origin = Origin("clean", 0, 0, 1, None, later.clean.encode(event))
    for task in tasks:
        made, undecodable, _ = task.fold([origin])
        assert undecodable == []
        assert [each.value["event_id"] for each in as_records(made)] == ["e1"]
