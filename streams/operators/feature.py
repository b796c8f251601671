"""Feature: a valid event becomes the features that a model sees.

Reads `clean`; writes `features`, `rejects` and `alerts`. Labels pass through in order. Keeps the
stores that the pipeline's features ask for, each bounded in entries and bytes, and with windows the
watermark; without such features, no state. What the bounds leave out is counted, with one alert
(`left_out`). Where the command `tick` lets time pass, windows that are too old go. An event for
which the user's code raises, or makes something that is not a number, a boolean or text, goes to
`rejects` with the last frame of the traceback.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, MutableMapping, Sequence, Sized
from functools import partial
from typing import Self, cast

from millrace.models.features.base import (
    Entry,
    Extract,
    ExtractAll,
    StatelessFeature,
    Store,
    bound,
    is_own,
)
from millrace.models.features.rolling import CUT, WINDOWS, inherit_windows, remove_old
from millrace.models.pipeline.definition import Pipeline
from millrace.models.user_code import PASSED_ON
from millrace.schemas import RecordError, RejectReason
from millrace.schemas.records import Event, Features, FeatureVector
from millrace.streams.control.ticks import elapsed_ms
from millrace.streams.operators.base import Operator, Reading, RecordOperator, Topics
from millrace.streams.operators.columns import Made
from millrace.streams.operators.context import Context
from millrace.streams.operators.deployment import Deployment
from millrace.streams.operators.keyed_state import StateStore
from millrace.streams.operators.left_out import LeftOut
from millrace.streams.operators.record import (
    AcceptedRecord,
    AuditRecord,
    EventRecord,
    LabelRecord,
    Origin,
    Record,
    RemovalRecord,
    VectorRecord,
    last_frame,
)
from millrace.streams.operators.sized_state import SizedState
from millrace.streams.operators.slice import Slice
from millrace.streams.operators.watermark import Watermark

_MOST_BYTES = 1024 * 1024 * 1024
_ENTRY_BYTES = 200
_PROGRESS = "window_time"  # the store of the watermark


class FeatureOperator(RecordOperator):
    """Compute the features of each event.

    Parameters
    ----------
    pipeline
        The definition.
    max_entries
        Most entries of each store, for example windows; the one least recently changed is evicted.
    max_bytes
        Most memory of each store, by a rough count.
    """

    name = "feature"

    def __init__(
        self, pipeline: Pipeline, max_entries: int = 100_000, max_bytes: int = _MOST_BYTES
    ) -> None:
        super().__init__(pipeline, self.topics_in([self.name]))
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._left_out = LeftOut()
        self._watermark = Watermark(reach_ms=_ttl_ms(pipeline))
        self._largest = pipeline.largest_feature
        self._extractors = self._bound()
        self._at_once = _at_once(pipeline)
        # What changes nothing goes first: where it raises, the stores do not have the event.
        self._order = sorted(
            range(len(self._extractors)),
            key=lambda place: not isinstance(pipeline.features[place], StatelessFeature),
        )

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:  # noqa: ARG003 - the same in each
        return Topics(frozenset({"clean"}), frozenset({"features", "rejects", "alerts"}))

    @classmethod
    def make(cls, context: Context) -> Self:
        return cls(context.pipeline)

    def inherit(self, before: Operator, deployment: Deployment) -> list[AuditRecord]:
        assert isinstance(before, FeatureOperator)
        asked, self._left_out = {*self.stores}, before._left_out
        self.stores, self._watermark = before.stores, before._watermark
        self._watermark.reach_ms = _ttl_ms(self.pipeline)
        names = [name for feature in self.pipeline.features for name in feature.names]
        kept = deployment.kept("features", names)
        shared = {WINDOWS.name, CUT.name} & asked & {*self.stores}
        for name in sorted(shared):
            entries = cast(MutableMapping[str, object], self.stores[name])
            inherit_windows(entries, before.pipeline.features, self.pipeline.features, kept)
        stay = shared | ({"evicted", _PROGRESS} & asked) | _stores_of(self.pipeline, kept)
        for name, store in self.stores.items():
            if name not in stay:
                _empty(store)
        self._extractors = self._bound()
        return []

    def _bound(self) -> list[Extract]:
        return [bound(feature, self._store) for feature in self.pipeline.features]

    def _fold(self, slice_: Slice) -> list[Made]:
        """Fold a slice, at once where features are Millrace's own and keep no state.

        An event that becomes no vector is looked at alone: `process` says why.
        """
        if not self._at_once:
            if _PROGRESS in self.stores:
                self._watermark.observe_all(
                    [
                        each.value["event_time_ms"]
                        for each in slice_
                        if isinstance(each, EventRecord)
                    ]
                )
            return super()._fold(slice_)
        records = [each for each in slice_ if each.topic in self.topics.reads]
        events = [record.value for record in records if isinstance(record, EventRecord)]
        try:
            extracted = iter(self._extract_all(events))
        except Exception:  # an event lacks a field
            return super()._fold(slice_)
        made: list[Made] = []
        for record in records:
            if not isinstance(record, EventRecord):
                made += self.process(record)
                continue
            event, features = record.value, next(extracted)
            if features is None:
                made += super()._fold(Slice([record]))
                continue
            made.append(_vector(event, features, record.origin))
        return made

    def apply(self, command: AcceptedRecord) -> list[Made]:
        """Let time pass: the windows that are too old by then are removed."""
        watermark_ms = self._watermark.pass_time(elapsed_ms(command.value["arguments"]))
        if watermark_ms is not None:
            remove_old(self._store(WINDOWS), watermark_ms)
        return []

    def process(self, record: Record) -> Iterable[Record]:
        if isinstance(record, LabelRecord | RemovalRecord):
            return [type(record)(record.value, record.origin, "features")]  # type: ignore[arg-type]  # its own
        if not isinstance(record, EventRecord):
            return ()
        self._left_out.begin()
        made = self._make(record)
        return [made, *self._left_out.alerts(record.value, record.origin)]

    def readings(self) -> Iterable[Reading]:
        return self._left_out.readings()

    def _make(self, record: EventRecord) -> Record:
        """Return the vector of an event, or its dead letter."""
        event = record.value
        try:
            features = self._extract(event)
        except RecordError as error:
            if error.reason is RejectReason.FEATURE_OUT_OF_RANGE:  # no fault of the user's code
                raise
            cause = "" if error.__cause__ is None else f" ({last_frame(error.__cause__)})"
            detail = error.detail + cause
            return self._fail("event", record.origin, error.reason, error, detail)
        except PASSED_ON:
            raise
        except BaseException as error:  # the user's code may raise anything
            return self._fail("event", record.origin, RejectReason.FEATURE_ERROR, error)
        return _vector(event, features, record.origin)

    def _store(self, store: Store[Entry]) -> MutableMapping[str, Entry]:
        if store.name not in self.stores:
            self.stores[store.name] = self._fresh_store(store.name)
        return cast(MutableMapping[str, Entry], self.stores[store.name])

    def _fresh_store(self, name: str) -> StateStore:
        self.stores["evicted"] = self._left_out.evicted
        if name == WINDOWS.name:
            self.stores[_PROGRESS] = self._watermark.store
        if name == CUT.name:
            return self._left_out.cut
        on_eviction = partial(self._left_out.count_evicted, name)
        return SizedState(self._max_entries, self._max_bytes, _size_bytes, on_eviction)

    def _extract_all(self, events: Sequence[Event]) -> Sequence[Features | None]:
        """Return the features of each event; None for one that is to be looked at alone."""
        made, *others = [extract_all(events) for extract_all in self._at_once]
        for parts in others:
            made = [
                None if features is None or part is None else features | part
                for features, part in zip(made, parts, strict=True)
            ]
        return made if self._largest is None else [*map(self._if_small, made)]

    def _if_small(self, features: Features | None) -> Features | None:
        assert self._largest is not None
        try:
            _check_size(features or {}, self._largest)
        except RecordError:
            return None
        return features

    def _extract(self, event: Event) -> Features:
        parts: list[Features] = [{}] * len(self._order)
        for place in self._order:
            part = parts[place] = self._extractors[place](event)
            if self._largest is not None:
                _check_size(part, self._largest)
        features: Features = {}
        for part in parts:
            features.update(part)
        return features


def _ttl_ms(pipeline: Pipeline) -> int:
    return int(pipeline.pending.ttl.total_seconds() * 1000)


def _stores_of(pipeline: Pipeline, names: frozenset[str]) -> set[str]:
    """Return the names of the stores that some features ask for."""
    found: set[str] = set()

    def note(store: Store[Entry]) -> MutableMapping[str, Entry]:
        found.add(store.name)
        return {}

    for feature in pipeline.features:
        if not names.isdisjoint(feature.names):
            feature.bind(note)
    return found


def _empty(store: StateStore) -> None:
    """Remove all entries: they go from the topic with the next save."""
    entries = cast(MutableMapping[str, object], store)
    for key in [*entries]:
        del entries[key]


def _at_once(pipeline: Pipeline) -> list[ExtractAll]:
    """Return the functions for many events; none where a feature keeps state, or is a user's."""
    own = [
        each for each in pipeline.features if isinstance(each, StatelessFeature) and is_own(each)
    ]
    if len(own) < len(pipeline.features):
        return []
    return [each.bind_all(pipeline.event_schema) for each in own]


def _vector(event: Event, features: Features, origin: Origin) -> VectorRecord:
    vector: FeatureVector = {
        "event_id": event["event_id"],
        "key": event["key"],
        "event_time_ms": event["event_time_ms"],
        "label": event["label"],
        "features": features,
    }
    return VectorRecord(vector, origin)


def _size_bytes(key: str, entry: object) -> int:
    """Return the rough size of an entry: what it says of itself, or by its length."""
    values = len(entry) if isinstance(entry, Sized) else 0
    size: int = getattr(entry, "size_bytes", 100 * values)
    return _ENTRY_BYTES + len(key) + size


def _check_size(features: Features, largest: float) -> None:
    for name, value in features.items():
        if not isinstance(value, str) and abs(value) > largest:
            raise RecordError(
                RejectReason.FEATURE_OUT_OF_RANGE,
                f"feature {name!r} must be at most {largest} in size (largest_feature);"
                f" got {value}",
            )
