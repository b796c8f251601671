"""Which of two labels of one event counts, as long as neither is learned."""

from __future__ import annotations

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.label_conflicts import Keep
from millrace.schemas.records import Label
from millrace.streams.operators.label_sources import name_of

_USUAL_PRIORITY = 1
_NOT_AT_ALL_MS = -(2**62)  # whatever the time, what is held has been held for long enough


def held_ms(pipeline: Pipeline) -> int:
    """Return how long the first label of an event is held, in milliseconds of event time."""
    conflicts = pipeline.label_conflicts
    return _NOT_AT_ALL_MS if conflicts is None else int(conflicts.within.total_seconds() * 1000)


class Precedence:
    """The order of labels of one event: by the priority of their sources, and by arrival.

    Parameters
    ----------
    pipeline
        The definition.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._priorities = {name_of(each): each.priority for each in pipeline.labels}
        conflicts = pipeline.label_conflicts
        self._keeps_last = conflicts is None or conflicts.keep is Keep.LAST

    def is_first(self, new: Label, known: Label) -> bool:
        """Whether a label counts before one that came earlier."""
        ahead = self._priority(new) - self._priority(known)
        if ahead or new["label"] == known["label"]:
            return ahead > 0
        return self._keeps_last

    def _priority(self, label: Label) -> int:
        source = label.get("source")  # release 0.1 saved none
        return self._priorities.get(source or "", _USUAL_PRIORITY)
