"""Examples: how labelled events reach learning where it has an agent of its own."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.models.candidates.evaluation import MetricsByCount
from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Example
from millrace.streams.operators.joined import Joined, JoinedColumns
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import ExampleRecord, Record
from millrace.streams.operators.scope import ScopedModels


class ExampleWriter:
    """Writes what is joined to `examples`, and knows how far the models are behind.

    Parameters
    ----------
    pipeline
        The definition.
    models
        As they came over the topic `models`.

    Attributes
    ----------
    written
        Scope key to the number of examples that its models will learn from.
    """

    def __init__(self, pipeline: Pipeline, models: ScopedModels) -> None:
        self._models = models
        self._learns_without_labels = pipeline.learns_without_labels
        self.written: KeyedState[int] = KeyedState(pipeline.max_models)

    def train(self, joined: Joined) -> list[Record]:
        """Count an example that learning is to read."""
        if joined.label is None or not self._learns_without_labels:
            scope_key = self._models.scope_key(joined.vector["key"])
            self.written[scope_key] = self.written.get(scope_key, 0) + 1
        return []

    def take_failure(self) -> bool:
        """Return False: whoever learns, tells."""
        return False

    def account(
        self, joined: Sequence[Joined], _columns: JoinedColumns, _metrics: MetricsByCount
    ) -> list[tuple[int, Record]]:
        """Return the examples of a slice; the metrics are known where those are read."""
        return [(each.place, ExampleRecord(_example(each), each.origin)) for each in joined]

    def forget(self, scope_key: str) -> None:
        """Start to count anew: learning has evicted the models of this scope key."""
        self.written.take(scope_key)

    def staleness(self, scope_key: str, models: ModelSet) -> int:
        """Return how many examples the models are behind those that learn elsewhere."""
        return max(self.written.get(scope_key, 0) - models.version - models.passed_over, 0)


def _example(joined: Joined) -> Example:
    vector, label_time_ms = joined.vector, joined.label_time_ms
    event_time_ms = vector["event_time_ms"]
    return {
        "event_id": vector["event_id"],
        "key": vector["key"],
        "event_time_ms": event_time_ms,
        "label": joined.label,
        "label_delay_ms": None if label_time_ms is None else label_time_ms - event_time_ms,
        "block": joined.block,
        "settled": joined.settled,
        "predicted": joined.predicted,
        "features": vector["features"],
    }
