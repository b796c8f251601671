"""Whether a chain of audit records is what its writer wrote: nothing changed, removed or added.

The records of an agent in one of its partitions are numbered from 1, and each has the digest of
the one before. That shows what was changed within the chain. The agent's state has number and
digest of the newest record. That shows a tail that was cut off, and a chain by somebody else. The
state is saved every few seconds: the chain may be ahead of it, but only with records that go back
to what the state has not seen yet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from millrace.schemas.records import Audit
from millrace.streams.operators.audit import digest_of
from millrace.streams.state.saved_trail import SavedHead
from millrace.streams.topology.names import short_name

_ANEW = (
    "begins the chain anew, which began at {}: its writer has lost its state, and what was before"
    " cannot be compared with it; or that is not its writer's"
)


class Entry(NamedTuple):
    """An audit record, and where it is."""

    where: str
    value: Audit


@dataclass(frozen=True)
class Break:
    """What is wrong with a trail, and where."""

    where: str
    what: str


@dataclass(eq=False)
class _Link:
    """A record in a chain.

    Attributes
    ----------
    place
        In the order of the topic.
    digest
        Of what is in the record.
    before
        The record that it follows by its `previous`, if that is there.
    """

    place: int
    where: str
    value: Audit
    digest: str
    before: _Link | None = None

    @property
    def number(self) -> int:
        return self.value["number"]

    @property
    def is_sound(self) -> bool:
        return self.digest == self.value["digest"]

    @property
    def is_first(self) -> bool:
        return self.number == 1 and not self.value["previous"]

    def is_of(self, head: SavedHead) -> bool:
        return self.number == head.number and head.digest in (self.digest, self.value["digest"])

    def follows(self, head: SavedHead) -> bool:
        return self.number == head.number + 1 and self.value["previous"] == head.digest


def breaks_in(
    entries: Iterable[Entry], head: SavedHead | None, end: str, prefix: str
) -> list[Break]:
    """Return what is wrong with the chain of one writer in one partition.

    Parameters
    ----------
    entries
        In the order of the topic. The same one may be there again: a worker without transactions
        writes it twice where it crashes.
    head
        What the state of the writer has; None where that is not known.
    end
        Where a record that is missing at the end would be.
    prefix
        Of the pipeline's topics.
    """
    links = _linked(entries)
    line = _line(links, head)
    found = _problems(links, line)
    breaks = [Break(each.where, found[each]) for each in links if each in found]
    if head is None:
        return breaks
    last = line[-1].number if line else 0
    if last < head.number:
        missing = _missing(last + 1, head.number)
        return [*breaks, Break(end, f"{missing} at the end, by the state of the writer")]
    places = {each.where for each in breaks}
    return breaks + [each for each in _against(line, head, prefix) if each.where not in places]


def _linked(entries: Iterable[Entry]) -> list[_Link]:
    """Return each record once, with the one that it follows."""
    links: list[_Link] = []
    known: dict[str, _Link] = {}
    for where, value in entries:
        digest = digest_of(value)
        same = known.get(digest)
        if same is None or same.value != value:
            links.append(_Link(len(links), where, value, digest))
            known.setdefault(digest, links[-1])
    for link in links:
        before = known.get(link.value["previous"])
        if before is not None and before.number == link.number - 1:
            link.before = before
    return links


def _line(links: Sequence[_Link], head: SavedHead | None) -> list[_Link]:
    """Return the chain, oldest first: from its newest record back, across what is missing."""
    in_order = sorted(links, key=_by_number)
    numbers = [each.number for each in in_order]
    line: dict[_Link, None] = {}
    link = _tip(links, head)
    while link is not None:
        line[link] = None
        before = link.before
        if before is None or before in line:
            lower = range(bisect_left(numbers, link.number) - 1, -1, -1)
            before = next((in_order[at] for at in lower if in_order[at] not in line), None)
        link = before
    return [*line][::-1]


def _tip(links: Sequence[_Link], head: SavedHead | None) -> _Link | None:
    """Return the newest record: what follows the one that the state has, where that is known."""
    if head is None:
        return max(links, key=_by_number, default=None)
    at_head = [each for each in links if each.is_of(head) or each.follows(head)]
    tip = min(at_head, key=_by_number, default=None)
    if tip is None:
        known = [each for each in links if each.number <= head.number] or links
        return max(known, key=_by_number, default=None)
    after = {each.before: each for each in links if each.before and each.is_sound}
    while tip in after:
        tip = after[tip]
    return tip


def _problems(links: Sequence[_Link], line: Sequence[_Link]) -> dict[_Link, str]:
    """Return what is wrong with each record, without what only the state shows."""
    found = {
        each: "was changed: its digest is not that of its fields"
        for each in links
        if not each.is_sound
    }
    for before, link in pairwise([None, *line]):
        if link is not None and (what := _step(before, link)):
            found.setdefault(link, what)
    in_line = {each.number: each for each in line}
    others = [each for each in links if in_line.get(each.number) is not each]
    former = [each for each in others if line[0].is_first and each.place < line[0].place]
    began = next((each for each in former if each.is_first), None)
    if began is not None:
        found = _of_former(former, began) | found
        found.setdefault(line[0], _ANEW.format(began.where))
        others = [each for each in others if each.place > line[0].place]
    strange = {*others}
    for each in others:
        if each.before not in strange:  # else what it follows is a stranger already
            found.setdefault(each, _stranger(each, in_line.get(each.number)))
    return found


def _of_former(links: Sequence[_Link], began: _Link) -> dict[_Link, str]:
    """Return what is wrong with a chain that was given up for one that begins anew."""
    in_order = sorted(links, key=_by_number)
    found = {}
    for lower, each in pairwise([None, *in_order]):
        if each is None or each is began:
            continue
        if each.is_first:
            found[each] = _ANEW.format(began.where)
        elif lower is not None and lower.number == each.number:
            found[each] = _stranger(each, lower)
        elif each.before is None or each.before is lower:
            found[each] = _step(lower, each)
    return {each: what for each, what in found.items() if what}


def _step(before: _Link | None, link: _Link) -> str:
    """Return what is wrong between a record and the one before it in the chain, if anything."""
    if before is not None and link.before is before:
        is_swapped = before.place > link.place
        return f"is before {before.where}, which it follows: they were swapped" * is_swapped
    last = 0 if before is None else before.number
    if link.number > last + 1:
        return f"{_missing(last + 1, link.number - 1)} before it"
    if not link.is_sound or (before is not None and not before.is_sound) or link.is_first:
        return ""
    other = "no record" if before is None else before.where
    return f"does not follow {other}: it, or what was before it, was changed"


def _against(line: Sequence[_Link], head: SavedHead, prefix: str) -> Iterator[Break]:
    """Yield what the state of the writer shows of a chain that goes as far as the state, or on."""
    known = next((place for place, each in enumerate(line) if each.is_of(head)), -1)
    if head.number and known < 0:
        at = next(each for each in line if each.number >= head.number)
        yield Break(at.where, f"is not the number {head.number:,} that its writer's state has")
    for each in line[known + 1 :]:
        value = each.value
        if each.number > head.number and _has_seen(head, value, prefix):
            cause = f"{value['topic']}[{value['partition']}]@{value['offset']}"
            yield Break(each.where, f"is not in its writer's state, which has seen {cause}")


def _has_seen(head: SavedHead, value: Audit, prefix: str) -> bool:
    return value["offset"] < head.covers.get(short_name(prefix, value["topic"]), 0)


def _stranger(link: _Link, other: _Link | None) -> str:
    instead = "" if other is None else f": number {link.number:,} is at {other.where}"
    return f"is not in the chain{instead}"


def _missing(first: int, last: int) -> str:
    if first == last:
        return f"number {first:,} is missing"
    return f"numbers {first:,} to {last:,} are missing"


def _by_number(link: _Link) -> tuple[int, int]:
    return link.number, link.place
