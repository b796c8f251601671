"""Writing versions: from the topics of state to files, beside the task that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from millrace.streams.retention import Tier, kept, period
from millrace.streams.state.archive.files import Header, to_bytes
from millrace.streams.state.archive.store import ArchiveStore, Place
from millrace.streams.state.log import StateLog
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.version_names import time_of, version_name


class ArchiveWriter:
    """Writes versions of one agent's state.

    Parameters
    ----------
    store
        Where files are.
    agent
        Whose state.
    state
        Reads it; nobody else uses it.
    prefix
        Of the pipeline's topics.
    key
        Signs files.
    retention
        Which versions are kept of those that the time names.
    clock_ms
        Milliseconds since the Unix epoch.
    """

    def __init__(
        self,
        store: ArchiveStore,
        agent: AgentSpec,
        state: StateLog,
        prefix: str,
        key: bytes,
        retention: Iterable[Tier],
        clock_ms: Callable[[], int],
    ) -> None:
        self.store = store
        self._agent = agent.name
        self._state = state
        self._prefix = prefix
        self._key = key
        self._retention = tuple(retention)
        self._clock_ms = clock_ms

    @property
    def due(self) -> str:
        """The version that is to be there now, by the time."""
        now = datetime.fromtimestamp(self._clock_ms() / 1000, UTC)
        return version_name(int(period(self._retention, now).timestamp() * 1000))

    def write(self, version: str, partition: int, covers: Mapping[str, int]) -> bool:
        """Write a partition of a version, unless it is there; return whether it is.

        Parameters
        ----------
        covers
            Input topic to an offset that the state must have come to.

        Raises
        ------
        BrokerError
            The state cannot be read.
        ArchiveError
            The file cannot be written.
        """
        place = Place(self._agent, partition)
        if self.store.has(version, place):
            return True
        records = self._state.complete_records(partition)
        if not records:
            return False
        manifest = self._state.manifest_of(records[0])
        if any(manifest["covers"].get(topic, -1) < offset for topic, offset in covers.items()):
            return False
        header = Header(
            version=version,
            agent=self._agent,
            partition=partition,
            time_ms=self._clock_ms(),
            flush=records[0].flush,
            covers=manifest["covers"],
            inputs={topic: (*each,) for topic, each in manifest.get("inputs", {}).items()},
            definition=manifest.get("deployed", ""),
        )
        self.store.write(version, place, to_bytes(header, records, self._prefix, self._key))
        return True

    def thin(self) -> None:
        """Remove versions that are not kept any more.

        Those that a command asked for stay, and those that were restored.

        Raises
        ------
        ArchiveError
            They cannot be listed or removed.
        """
        named = {time_of(version): version for version in self.store.versions()}
        by_time = {time: version for time, version in named.items() if time is not None}
        former = by_time.keys() - kept(self._retention, by_time)
        restored = self.store.kept() if former else frozenset()
        for time in sorted(former):
            if by_time[time] not in restored:
                self.store.remove(by_time[time])
