"""What says how the events of a pipeline are read and routed.

A `Pipeline` does. So does a description of one, for a process that runs none of its author's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from millrace.models.pipeline.record_parts import EventId, Part
from millrace.schemas import EventSchema


class EventDefinition(Protocol):
    """The parameters of `Pipeline` that an event is read and routed by."""

    @property
    def event_schema(self) -> EventSchema: ...
    @property
    def event_id(self) -> EventId: ...
    @property
    def key(self) -> Part | None: ...
    @property
    def event_time(self) -> Part | None: ...
    @property
    def label(self) -> str | None: ...
    @property
    def scope(self) -> str: ...
    @property
    def numbers_as_text(self) -> Sequence[str]: ...
    @property
    def allow_non_finite(self) -> Sequence[str]: ...
