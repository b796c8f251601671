"""From the records of one partition to the state that they are, as far as it can be read.

What cannot be read at all is refused: another definition, another form, what is signed with another
key. A part that this version of River, of Python or of the user's own code cannot read any more is
lost alone, by name: it begins anew, and everything else goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from millrace.models.candidates.model_set import ModelSet
from millrace.models.identity.definition import changed_parts, identities
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import LostError, SnapshotError
from millrace.streams.kafka.identity import Identity
from millrace.streams.operators.keyed_state import Change
from millrace.streams.state import snapshot
from millrace.streams.state.allowed import own_modules
from millrace.streams.state.binding import payload_of
from millrace.streams.state.entries import MODELS
from millrace.streams.state.found import Found
from millrace.streams.state.migrations import Name
from millrace.streams.state.parts import Parts, count_parts
from millrace.streams.state.records import MANIFEST, Manifest, Place, Saved
from millrace.streams.state.renewing import renew_lost

_log = structlog.get_logger(__name__)


@dataclass
class Restored:
    """The state of one partition, and where it is.

    Attributes
    ----------
    saved
        The state.
    parts
        Where a large entry is, to how many parts it has.
    lost
        Where entries are of which nothing can be read.
    """

    saved: Saved
    parts: dict[Place, int] = field(default_factory=dict)
    lost: set[Place] = field(default_factory=set)


class Restoring:
    """Makes the state of an agent's partitions of what is found of them.

    Parameters
    ----------
    pipeline
        The definition.
    topic
        Of the agent's state, without prefix.
    prefix
        Of the pipeline's topics.
    key
        What was signed with it is read.
    make_parts
        Returns what puts large values together.
    on_lost
        Called for each part that is lost.
    find
        Imports the definition of a digest, whose classes state may hold, and as which what is lost
        begins anew.
    renamed
        What classes are called today that earlier state names by the modules of a file.

    Attributes
    ----------
    definition
        What of the definition the shape of the state depends on.
    identities
        A part of the definition to its identity.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        topic: str,
        prefix: str,
        key: bytes,
        make_parts: Callable[[], Parts],
        on_lost: Callable[[], None],
        find: Callable[[str], Pipeline | None],
        renamed: Mapping[Name, Name],
    ) -> None:
        self._pipeline = pipeline
        self._topic = topic
        self._prefix = prefix
        self._key = key
        self._make_parts = make_parts
        self._on_lost = on_lost
        self._find = find
        self._renamed = renamed
        self._own = own_modules(pipeline)
        self.definition = _shape(pipeline)
        self.identities = identities(pipeline)

    def load(self, data: bytes) -> Any:
        """Return the object in signed data.

        Raises
        ------
        SnapshotError
            See `streams.state.snapshot.load`.
        """
        return snapshot.load(data, self._key, self._own, self._renamed)

    def models(self, payload: bytes) -> ModelSet:
        """Return the models of a snapshot, those that are lost begun anew.

        Raises
        ------
        SnapshotError
            See `streams.state.snapshot.load`.
        """
        models, _ = self._entry(("models", MODELS), "", payload)
        return cast(ModelSet, models)

    def manifest(self, found: Found) -> Manifest:
        """Return the manifest of a partition that has one."""
        record = found.own(MANIFEST)
        manifest: Manifest = self.load((record and record.value) or b"")
        return manifest

    def restored(self, found: Found) -> Restored | None:
        """Return the state as the last manifest has it, or None if anything of it is missing.

        Raises
        ------
        SnapshotError
            It was saved for another definition, or cannot be read.
        """
        record = found.own(MANIFEST)
        if record is None:
            return None
        manifest = self.manifest(found)
        deployed = manifest.get("deployed", "")
        if deployed:
            self._pipeline = self._find(deployed) or self._pipeline
        else:
            self._compare(manifest)
        inputs = {name: Identity(*each) for name, each in manifest.get("inputs", {}).items()}
        saved = Saved(manifest["covers"], record.flush, inputs, definition=deployed)
        saved.order = manifest.get("order", 0)
        restored = Restored(saved)
        for each in found.orders():
            restored.saved.runs += self.load(each.value or b"")
        counts = self._add_entries(restored, found)
        # A broker that has dropped records, as the embedded one does, has no complete state.
        sizes = manifest["sizes"]
        missing = {
            name: size - counts[name] for name, size in sizes.items() if size != counts[name]
        }
        if missing:
            where = self._prefix + self._topic
            _log.warning("saved state is incomplete", topic=where, missing=missing)
            return None
        return restored

    def _compare(self, manifest: Manifest) -> None:
        """Refuse state of another shape; say which parts go on as they were."""
        if manifest["definition"] != self.definition:
            raise SnapshotError(
                "the state was saved for another definition: models, features, task or schema have"
                " changed. Give the pipeline another name, or delete its state topics to learn from"
                " the beginning of the log again"
            )
        changed = changed_parts(manifest.get("identities", {}), self.identities)
        if changed:
            _log.warning(
                "the definition has changed; these parts go on as the saved state has them",
                topic=self._prefix + self._topic,
                changed=changed,
            )

    def _add_entries(self, restored: Restored, found: Found) -> Counter[str]:
        """Add what can be read; return how many entries of each store are there."""
        parts, counts = self._make_parts(), Counter[str]()
        for each in found.parts():
            parts.whole(payload_of(each) or b"")
        for each in found.entries():
            operator, name, entry = each.key.split("/", 2)
            store = f"{operator}/{name}"
            payload = payload_of(each) or b""
            whole = parts.whole(payload)
            if whole is None:
                continue
            counts[store] += 1
            try:
                value, is_whole = self._entry(each.place, entry, whole)
            except LostError as error:
                restored.lost.add(each.place)
                self._say_lost(each.place, "all of it", str(error))
                continue
            restored.saved.entries.setdefault(store, []).append(Change(entry, each.sequence, value))
            if not is_whole:
                restored.saved.renewed.setdefault(store, []).append(entry)
            if count := count_parts(payload, self._key):
                restored.parts[each.place] = count
        return counts

    def _entry(self, place: Place, entry: str, data: bytes) -> tuple[object, bool]:
        """Return an entry, lost parts of which are begun anew, and whether there were none.

        Raises
        ------
        LostError
            Nothing of it can be read.
        """
        loaded = snapshot.load_parts(data, self._key, self._own, self._renamed)
        if loaded.lost:
            for part, lost in renew_lost(loaded, entry, self._pipeline).items():
                self._say_lost(place, part, lost.reason)
        return loaded.value, not loaded.lost

    def _say_lost(self, place: Place, part: str, reason: str) -> None:
        topic, key = place
        self._on_lost()
        _log.error(
            "a part of the saved state is lost, and begins anew",
            topic=self._prefix + topic,
            key=key,
            part=part,
            reason=reason,
        )


def _shape(pipeline: Pipeline) -> str:
    """Return what of a definition the shape of its state depends on."""
    names = [name for feature in pipeline.features for name in feature.names]
    schema = pipeline.event_schema.as_written.header.hex()
    return f"{pipeline.task} {pipeline.scope} {[*pipeline.models]} {names} {schema}"
