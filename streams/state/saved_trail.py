"""The head of an agent's audit trail, as its saved state has it: all that a check needs of state.

Nothing else is loaded, so neither a definition nor the models' own code is needed for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from millrace.streams.kafka.protocols import Clients
from millrace.streams.operators.audit import HEAD, TRAIL_STORE
from millrace.streams.state import snapshot
from millrace.streams.state.binding import Binding
from millrace.streams.state.found import Found
from millrace.streams.state.records import MANIFEST, Manifest
from millrace.streams.state.signed_topics import SignedTopics
from millrace.streams.state.signing import OtherKeyError


class SavedHead(NamedTuple):
    """The newest audit record that a saved state knows.

    Attributes
    ----------
    number, digest
        Of the record; 0 and empty before the first.
    covers
        Input topic, without prefix, to the first offset that the state has not seen.
    """

    number: int
    digest: str
    covers: Mapping[str, int]


def saved_heads(
    clients: Clients, prefix: str, topic: str, key: bytes, partitions: Iterable[int]
) -> dict[int, SavedHead | None]:
    """Return the head of each partition of a state topic; None where no state was saved.

    Parameters
    ----------
    topic
        Without the prefix.

    Raises
    ------
    SnapshotError
        The state is signed with another key, or was changed.
    BrokerError
        The topic cannot be read to its end.
    """
    found = {each: Found(topic) for each in partitions}
    signed = SignedTopics(clients, prefix, Binding(prefix, key), lambda _: None)
    signed.read_all(topic, found)
    return {
        at: _head(records, f"{prefix}{topic}[{at}]", key, records.faults(prefix, at))
        for at, records in found.items()
    }


def _head(found: Found, where: str, key: bytes, faults: str) -> SavedHead | None:
    ends, head = found.own(MANIFEST), found.own(f"{TRAIL_STORE}/{HEAD}")
    if ends is None and found.is_of_another_key:
        raise OtherKeyError(f"the state of {where} is signed with another key: {faults}")
    if ends is None:
        return None
    manifest: Manifest = snapshot.load(ends.value or b"", key)
    number, digest = (0, "") if head is None else snapshot.load(head.value or b"", key)
    return SavedHead(number, digest, manifest["covers"])
