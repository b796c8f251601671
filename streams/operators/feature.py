"""Feature: a valid event becomes the features that a model sees.

Reads `clean`; writes `features` and `rejects`. Labels pass through in order. Keeps the stores
that the pipeline's features ask for, each bounded; without such features, no state. An event for
which the user's code raises, or makes something that is not a number, a boolean or text, goes to
`rejects` with the last frame of the traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from millrace.models.features.base import Entry, Store
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RecordError, RejectReason
from millrace.schemas.records import Event, Features, FeatureVector
from millrace.streams.operators.base import Operator
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import Record, last_frame

_PLAIN = frozenset({bool, float, str})
_LONGS = range(-(2**63), 2**63)


class FeatureOperator(Operator):
    """Compute the features of each event.

    Parameters
    ----------
    pipeline
        The definition.
    max_entries
        Most entries of each store, for example windows; the one least recently changed is evicted.
    """

    name = "feature"
    reads = frozenset({"clean"})
    writes = frozenset({"features", "rejects"})

    def __init__(self, pipeline: Pipeline, max_entries: int = 100_000) -> None:
        super().__init__(pipeline)
        self._max_entries = max_entries
        self._extractors = [feature.bind(self._store) for feature in pipeline.features]

    def process(self, record: Record) -> Iterable[Record]:
        if record.type == "Label":
            return [Record("features", "Label", record.value, record.origin)]
        event: Event = record.value
        try:
            features = self._extract(event)
        except RecordError as error:
            cause = "" if error.__cause__ is None else f" ({last_frame(error.__cause__)})"
            detail = error.detail + cause
            return [self._fail("event", record.origin, error.reason, error, detail)]
        except Exception as error:  # user code may raise anything: the record is set aside
            return [self._fail("event", record.origin, RejectReason.FEATURE_ERROR, error)]
        vector: FeatureVector = {
            "event_id": event["event_id"],
            "key": event["key"],
            "event_time_ms": event["event_time_ms"],
            "label": event["label"],
            "features": features,
        }
        return [Record("features", "FeatureVector", vector, record.origin)]

    def _store(self, store: Store[Entry]) -> MutableMapping[str, Entry]:
        return self.stores.setdefault(store.name, KeyedState(self._max_entries))

    def _extract(self, event: Event) -> Features:
        features: Features = {}
        for extract in self._extractors:
            features.update(extract(event))
        if not {*map(type, features.values())} <= _PLAIN:
            features = {name: _plain(name, value) for name, value in features.items()}
        return features


def _plain(name: str, value: Any) -> bool | int | float | str:
    """Turn a NumPy scalar into Python's own, which is what goes over the wire."""
    if type(value) in _PLAIN:
        return value  # type: ignore[no-any-return] # it is what it says
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, (bool, float, str)) or (isinstance(plain, int) and plain in _LONGS):
        return plain
    raise TypeError(f"feature {name!r} must be a number, a boolean or text; got {value!r}")
