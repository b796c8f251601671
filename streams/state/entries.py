"""From changes of stores to the records that hold them: each an entry, large ones after parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from millrace.models.candidates.model_set import ModelSet
from millrace.schemas import shipped
from millrace.schemas.records import ModelSnapshot
from millrace.streams.operators.keyed_state import Change
from millrace.streams.state import snapshot
from millrace.streams.state.binding import payload_of
from millrace.streams.state.parts import keep, part_key, split
from millrace.streams.state.records import Place, StateRecord, state_record
from millrace.streams.state.signing import signed_anew

MODELS = "learning/models"
"""The store that is published to the topic `models`."""


class Entries:
    """Makes the records of one agent's entries.

    Parameters
    ----------
    topic
        The agent's topic of state, without prefix.
    key
        Signs what is written.
    part_bytes
        Longest value of a record.
    beside
        Where large values are kept instead of in parts; None on a broker that takes parts.
    """

    def __init__(
        self, topic: str, key: bytes, part_bytes: int, beside: dict[str, bytes] | None
    ) -> None:
        self._topic = topic
        self._key = key
        self._part_bytes = part_bytes
        self._beside = beside

    def of(
        self,
        partition: int,
        store: str,
        change: Change,
        covers: dict[str, int],
        number: int,
        parts: dict[Place, int],
    ) -> Iterator[StateRecord]:
        """Yield the records of one change: an entry, after its parts, and what they replace.

        Parameters
        ----------
        partition
            Of the state.
        store
            Full name of the store that has changed.
        change
            What has changed.
        covers
            Input topic to the offset behind the last record that the change follows from.
        number
            Of the flush.
        parts
            Where a large entry is to how many parts it has; brought up to date.
        """
        topic = "models" if store == MODELS else self._topic
        key = f"{store}/{change.key}"

        def record(key: str, value: bytes | None) -> StateRecord:
            return state_record(topic, key, value, flush=number, sequence=change.sequence)

        def encoded(payload: bytes) -> bytes:
            if store != MODELS:
                return payload
            return _published(change.key, cast(ModelSet, change.value), covers, payload)

        before = parts.pop((topic, key), 0)
        if change.value is None:
            pieces, head = [], None
        else:
            *pieces, whole = self._pieces(partition, (topic, key), change.value)
            head = encoded(whole)
        for at, piece in enumerate(pieces):
            yield record(part_key(key, at), encoded(piece))
        for at in range(len(pieces), before):
            yield record(part_key(key, at), None)
        if pieces:
            parts[topic, key] = len(pieces)
        yield record(key, head)

    def renewed(self, record: StateRecord, number: int) -> StateRecord:
        """Return a record as it was, signed with the first key, as one of another flush."""
        payload = signed_anew(payload_of(record) or b"", self._key)
        if record.topic == "models":
            published = shipped("model_snapshot").decode(record.value or b"")
            payload = shipped("model_snapshot").encode({**published, "payload": payload})
        return state_record(
            record.topic, record.key, payload, flush=number, sequence=record.sequence
        )

    def _pieces(self, partition: int, place: Place, value: object) -> list[bytes]:
        """Return a value alone, or its parts and, last, their head."""
        payload = snapshot.dump(value, self._key)
        if self._beside is None:
            return split(payload, self._key, self._part_bytes)
        topic, key = place
        name = f"{topic}[{partition}]/{key}"
        return [keep(payload, self._key, name, self._beside, self._part_bytes)]


def _published(scope_key: str, models: ModelSet, covers: dict[str, int], payload: bytes) -> bytes:
    """Return the record of `models` that holds a payload, or a part of it."""
    published = ModelSnapshot(
        scope_key=scope_key,
        champion=models.champion,
        version=models.version,
        covers=covers,
        payload=payload,
    )
    return shipped("model_snapshot").encode(published)
