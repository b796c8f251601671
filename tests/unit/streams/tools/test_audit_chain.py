"""A chain of audit records shows whatever is done to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas.records import Audit
from millrace.streams.operators.audit import HEAD, AuditTrail, Cause, audited, digest_of
from millrace.streams.operators.record import Origin
from millrace.streams.state.saved_trail import SavedHead
from millrace.streams.tools.audit_chain import Entry, breaks_in

WRITER = "learning"
FIELDS = [*Audit.__annotations__]


@dataclass
class Log:
    """What an agent has written about the records of one partition, one of each."""

    trail: AuditTrail = field(default_factory=lambda: AuditTrail(WRITER))
    values: list[Audit] = field(default_factory=list)

    def write(self, count: int, why: str = "so") -> Log:
        for _ in range(count):
            origin = Origin("examples", 2, len(self.values), 0, None, None, (), "p.examples")
            record = audited(Cause("rule:x", why, origin), "models['a']", "reset")
            self.trail.add(record)
            self.values.append(record.value)
        return self

    @property
    def head(self) -> SavedHead:
        """What the state is once it has seen all of it."""
        number, digest = self.trail.state.get(HEAD, (0, ""))
        return SavedHead(number, digest, {"examples": len(self.values)})


def found(values: list[Audit], head: SavedHead | None) -> list[str]:
    """Return what is wrong, each as `offset what`."""
    entries = [Entry(str(at), value) for at, value in enumerate(values)]
    return [f"{each.where} {each.what}" for each in breaks_in(entries, head, "end", "p.")]


def forged(number: int, previous: str, **changes: Any) -> Audit:
    """Return a record that its own digest fits."""
    value = {**Log().write(1, "forged").values[0], "number": number, "previous": previous}
    value |= changes
    return {**value, "digest": digest_of(value)}  # type: ignore[typeddict-item,arg-type]


def other(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, dict):
        return {**value, "more": "1"}
    return value + 1 if isinstance(value, int) else f"{value or ''}x"


@pytest.mark.parametrize("has_head", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_what_was_written_is_sound(count: int, has_head: bool) -> None:
    """A chain as its writer wrote it has no break."""
    log = Log().write(count)
    assert found(log.values, log.head if has_head else None) == []


@pytest.mark.parametrize("at", [0, 3, 6])
@pytest.mark.parametrize("name", FIELDS)
def test_a_changed_field(name: str, at: int) -> None:
    """Each field of each record counts, and the break is where the record is."""
    log = Log().write(7)
    value: dict[str, Any] = {**log.values[at]}
    value[name] = other(value[name])
    log.values[at] = value  # type: ignore[call-overload]
    assert f"{at} was changed: its digest is not that of its fields" in found(log.values, log.head)


@pytest.mark.parametrize("name", [each for each in FIELDS if each not in ("digest", "number")])
def test_a_changed_record_with_a_new_digest(name: str) -> None:
    """Then the one after it, or the state, does not fit it."""
    log = Log().write(7)
    for at in (0, 3, 6):
        values = [{**each} for each in log.values]
        values[at][name] = other(values[at][name])
        values[at]["digest"] = digest_of(values[at])  # type: ignore[arg-type]
        assert found(values, log.head)  # type: ignore[arg-type]
        assert at == 6 or found(values, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("break_it", "what"),
    [
        (lambda v: v.pop(3), ["3 number 4 is missing before it"]),
        (lambda v: v.__delitem__(slice(2, 5)), ["2 numbers 3 to 5 are missing before it"]),
        (lambda v: v.pop(0), ["0 number 1 is missing before it"]),
        (lambda v: v.pop(), ["end number 7 is missing at the end, by the state of the writer"]),
        (
            lambda v: v.clear(),
            ["end numbers 1 to 7 are missing at the end, by the state of the writer"],
        ),
        (
            lambda v: v.insert(3, v.pop(4)),
            ["3 is before 4, which it follows: they were swapped"],
        ),
        (
            lambda v: v.insert(3, forged(4, v[2]["digest"])),
            ["3 is not in the chain: number 4 is at 4"],
        ),
        (lambda v: v.append(forged(3, "")), ["7 is not in the chain: number 3 is at 2"]),
        (lambda v: v.append(forged(1, "")), ["7 is not in the chain: number 1 is at 0"]),
        (lambda v: v.append(forged(9, "")), ["7 is not in the chain"]),
        (
            lambda v: v.append(forged(8, v[6]["digest"])),
            ["7 is not in its writer's state, which has seen p.examples[2]@0"],
        ),
    ],
    ids=[
        *("removed", "several", "first", "tail", "all", "swapped"),
        *("inserted", "stranger", "first-again", "ahead", "appended"),
    ],
)
def test_breaks(break_it: Callable[[list[Audit]], object], what: list[str]) -> None:
    """Each is said once, where it is."""
    log = Log().write(7)
    head = log.head
    break_it(log.values)
    assert found(log.values, head) == what


def test_a_tail_is_not_missed_without_the_state() -> None:
    """The chain alone does not show that its end was cut off."""
    assert found(Log().write(7).values[:5], None) == []


def test_a_chain_ahead_of_the_state() -> None:
    """Records that go back to what the state has not seen are sound, if they follow its head."""
    log = Log().write(5)
    head = log.head
    log.write(2)
    assert found(log.values, head) == []
    del log.values[4]
    assert found(log.values, head) == ["4 number 5 is missing before it"]


def test_records_that_are_there_twice() -> None:
    """A worker without transactions may write them again after a crash: they are the same."""
    values = Log().write(7).values
    again = [*values[:5], *values[2:]]
    assert found(again, Log().write(7).head) == []


def test_a_chain_that_begins_anew() -> None:
    """Where state was lost for good, the chain forks: that is said once, and all is checked."""
    former, log = Log().write(4), Log().write(3, "after the loss")
    values = [*former.values, *log.values]
    said = "4 begins the chain anew, which began at 0: its writer has lost its state,"
    assert [each[: len(said)] for each in found(values, log.head)] == [said]
    added = forged(3, values[1]["digest"])
    assert "3 is not in the chain: number 3 is at 2" in found(
        [*values[:3], added, *values[3:]], log.head
    )
    swapped = [values[0], values[2], values[1], *values[3:]]
    assert found(swapped, log.head)[0] == "1 is before 2, which it follows: they were swapped"
    del values[1]
    assert found(values, log.head)[0] == "1 number 2 is missing before it"


def test_many_beginnings() -> None:
    """Whoever writes a thousand of them is heard, and does not end the check."""
    log = Log().write(2)
    strangers = [forged(1, "", why=str(at)) for at in range(2_000)]
    assert len(found([*strangers, *log.values], log.head)) == 2_000
    assert len(found([*log.values, *strangers], log.head)) == 2_000


def test_another_chain_than_that_of_the_state() -> None:
    """Who writes a whole chain, with every digest right, does not have the state's key."""
    log = Log().write(4)
    assert found(Log().write(4, "forged").values, log.head) == [
        "3 is not the number 4 that its writer's state has"
    ]


texts = st.text(max_size=5)
entries = st.lists(
    st.tuples(texts, texts, st.dictionaries(texts, texts, max_size=3)), min_size=1, max_size=8
)


@given(entries, st.data())
def test_no_single_change_goes_unseen(drawn: list[Any], data: st.DataObject) -> None:
    """Any sequence of entries is sound, and is not once one thing is done to it."""
    log = Log()
    for offset, (who, why, evidence) in enumerate(drawn):
        origin = Origin("examples", 2, offset, 0, None, None)
        record = audited(Cause(who, why, origin), "command", "accepted", evidence=evidence)
        log.trail.add(record)
        log.values.append(record.value)
    head, values = log.head, log.values
    assert found(values, head) == found(values, None) == []
    at = data.draw(st.integers(0, len(values) - 1))
    kinds = ["field", "digest", "removed", "inserted", "swapped"][: 5 if len(values) > 1 else 4]
    kind = data.draw(st.sampled_from(kinds))
    if kind in ("field", "digest"):
        name = data.draw(st.sampled_from(FIELDS))
        changed: Any = {**values[at], name: other(values[at][name])}  # type: ignore[literal-required]
        if kind == "digest":
            changed["digest"] = digest_of(changed) if name != "digest" else changed["digest"]
        values[at] = changed
    elif kind == "removed":
        del values[at]
    elif kind == "inserted":
        number = data.draw(st.integers(0, len(values) + 2))
        previous = data.draw(st.sampled_from(["", "x", *(each["digest"] for each in values)]))
        values.insert(at, forged(number, previous))
    else:
        to = data.draw(st.integers(0, len(values) - 1).filter(lambda place: place != at))
        values[at], values[to] = values[to], values[at]
    assert found(values, head)
