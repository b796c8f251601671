"""The definitions that were in force, from the audit, and what two of them differ in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import unified_diff
from typing import NamedTuple

from millrace.models.bundles.bundle import Bundle
from millrace.models.identity.changes import changes
from millrace.models.identity.reference import Reference
from millrace.models.identity.setting import described_with
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SettingsError
from millrace.schemas.records import Audit
from millrace.streams.control.commands import BRINGS_DEFINITION
from millrace.streams.kafka.protocols import Clients
from millrace.streams.operators.registry import CONTROL
from millrace.streams.settings import Settings
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.state.keys import state_key
from millrace.streams.tools.audit import read_trail
from millrace.streams.topology.topics import topic_prefix


class Deployed(NamedTuple):
    """A definition that came into force.

    Attributes
    ----------
    number
        Of the command.
    definition
        Its reference: the digest of its bundle, and what was set since.
    time_ms
        When: milliseconds since the Unix epoch.
    who, why
        As the command has them.
    """

    number: int
    definition: str
    time_ms: int
    who: str
    why: str


class Compared(NamedTuple):
    """What two definitions differ in.

    Attributes
    ----------
    changes
        Lines that say what becomes of what.
    files
        Path to the lines of a unified diff; none where the file is the same.
    """

    changes: list[str]
    files: dict[str, list[str]]


def deployed(clients: Clients, pipeline: Pipeline) -> list[Deployed]:
    """Return the definitions that came into force, oldest first.

    Raises
    ------
    BrokerError
        The topic `audit` cannot be read.
    """
    entries = [each.value for each in read_trail(clients, pipeline).in_order_of_time()]
    return [found for each in entries if (found := deployment(each)) is not None]


def deployment(entry: Audit) -> Deployed | None:
    """Return the definition that came into force by an entry of the audit; None where none did."""
    if (entry["writer"], entry["action"]) != (CONTROL, "accepted"):
        return None
    if entry["evidence"].get("command") not in BRINGS_DEFINITION:
        return None
    number, definition = int(entry["after"] or 0), entry["evidence"]["definition"]
    return Deployed(number, definition, entry["time_ms"], entry["who"], entry["why"])


def difference(
    clients: Clients,
    pipeline: Pipeline,
    settings: Settings,
    history: Sequence[Deployed],
    before: str,
    after: str,
) -> Iterator[str]:
    """Yield lines that say what changes from one definition to another, and in which files.

    Parameters
    ----------
    history
        What `deployed` returned.
    before, after
        Which: the number of a command, or the first digits of a digest, with `?` and what was set
        where something was.

    Raises
    ------
    SettingsError
        There is none, or several.
    SnapshotError, BrokerError
        A definition is not signed with the key, or cannot be read.
    """
    store = DefinitionStore(clients, topic_prefix(pipeline), state_key(settings))
    found = compared(store, history, before, after)
    yield from found.changes
    for lines in found.files.values():
        yield from lines


def compared(
    store: DefinitionStore, history: Sequence[Deployed], before: str, after: str
) -> Compared:
    """Return what two definitions differ in: see `difference`.

    Raises
    ------
    SettingsError, SnapshotError, BrokerError
        See there.
    """
    references = [Reference.of(_found(history, each).definition) for each in (before, after)]
    old, new = (store.get(each.digest) for each in references)
    was, is_now = (
        described_with({**bundle.description}, each.settings)
        for bundle, each in zip((old, new), references, strict=True)
    )
    paths = sorted(old.files.keys() | new.files.keys())
    files = {path: [*_in_file(path, old, new)] for path in paths}
    return Compared(str(changes(was, is_now)).split("\n"), files)


def _in_file(path: str, old: Bundle, new: Bundle) -> Iterator[str]:
    before, after = (each.files.get(path, "").splitlines() for each in (old, new))
    was, is_now = (f"{path} ({each.digest[:12]})" for each in (old, new))
    yield from unified_diff(before, after, was, is_now, lineterm="")


def _found(history: Sequence[Deployed], which: str) -> Deployed:
    found = {
        each.definition: each
        for each in history
        if which == str(each.number) or _is_named(each.definition, which)
    }
    if len(found) != 1:
        known = ", ".join(
            f"{each.number} ({Reference.of(each.definition).shortened})" for each in history
        )
        raise SettingsError(f"A and B must each name one of the definitions {known}; got {which!r}")
    return found.popitem()[1]


def _is_named(definition: str, which: str) -> bool:
    """Whether the first digits of a definition's digest, and what was set in it, are given."""
    known, given = Reference.of(definition), Reference.of(which)
    is_one = bool(given.digest) and known.digest.startswith(given.digest)
    return is_one and known.settings == given.settings
