"""What predictions say of themselves, by the book: their sets, their reasons, and what was covered.

It shares no code with the operators, and knows neither models nor thresholds: it takes what is on
the topics, and holds one against the other. The set of a prediction has the classes that its
threshold leaves of its probabilities. Its reasons add up to them. Blocks of events say how many
labels were in their sets: as many as the sets and labels that were published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp, isclose
from typing import Any, TypeAlias

from tests.chaos.findings import Findings

Values: TypeAlias = Sequence[Mapping[str, Any]]

_CLASSES = ("false", "true")


class CertaintyBook:
    """Keeps the account of one partition.

    Parameters
    ----------
    predictions
        What was predicted, in order.
    outcomes
        What became of events and labels.
    evaluations
        The blocks of events.
    """

    def __init__(self, predictions: Values, outcomes: Values, evaluations: Values) -> None:
        self._predictions = predictions
        self._labels = {e["event_id"]: e["label"] for e in outcomes if e["fate"] == "joined"}
        blocks = [each for each in evaluations if each["events"]]
        self._blocks = sorted(blocks, key=lambda each: int(each["number"]))

    def check(self, findings: Findings) -> None:
        """Check everything, and count what there was to check."""
        findings.add("sets are what thresholds leave", self._sets())
        findings.add("reasons add up to predictions", self._reasons())
        findings.add("coverage of every block", self._coverage(findings))
        for each in self._predictions:
            certainty, reasons = each["certainty"], each["reasons"]
            findings.counts["predictions with a set"] += bool(certainty and certainty["threshold"])
            findings.counts["predictions without a value, as the set says"] += bool(
                certainty and certainty["abstained"]
            )
            findings.counts["predictions with reasons"] += bool(reasons and reasons["scale"])

    def _sets(self) -> Iterator[str]:
        for each in self._predictions:
            said = each["certainty"]
            if said is None:
                continue
            expected = set_of(each["probabilities"], said["threshold"])
            found = (said["classes"], said["why_none"])
            if found != expected:
                yield f"{each['event_id']} has the set {found}, of {expected}: {said}"
            is_odd = not said["why_none"] and len(said["classes"]) != 1
            wanted = {"", "several_classes" if said["classes"] else "no_class"} if is_odd else {""}
            if said["abstained"] not in wanted:
                yield f"{each['event_id']} abstains: {said}"
            has_none = bool(said["abstained"]) or not each["probabilities"]
            if (each["value"] is None) != has_none:
                yield f"{each['event_id']} is {each['value']}: {said}"

    def _reasons(self) -> Iterator[str]:
        for each in self._predictions:
            said = each["reasons"]
            if said is None:
                continue
            sum_ = said["base"] + sum(said["contributions"].values()) + said["rest"]
            if said["why_none"]:
                if (sum_, said["scale"]) != (0.0, ""):
                    yield f"{each['event_id']} has no reasons, and {said}"
                continue
            share = 1 / (1 + exp(-sum_)) if said["scale"] == "log_odds" else sum_
            expected = shares_of(each["probabilities"]).get("true" if said["of"] else "false")
            if expected is None or not isclose(share, expected, abs_tol=1e-9):
                yield f"{each['event_id']} is {each['probabilities']}: {said} are {share}"

    def _coverage(self, findings: Findings) -> Iterator[str]:
        for block, events in self._events_of_blocks():
            where = f"block {block['number']} of {block['partition']}"
            if not events:
                yield f"{where} has other events than were predicted"
                continue
            shown = block["certainty"]
            wanted = {each["certainty"] and each["certainty"]["coverage"] for each in events}
            if wanted != {shown and shown["wanted"]}:
                yield f"{where} wants {shown}, of {wanted}"
            elif shown is not None:
                yield from (f"{where} {each}" for each in self._unlike(shown, events, findings))

    def _unlike(
        self, shown: Mapping[str, Any], events: Values, findings: Findings
    ) -> Iterator[str]:
        """Hold what a block says against its sets and labels: some of these may have come late."""
        known = [
            each
            for each in events
            if each["event_id"] in self._labels and not each["certainty"]["why_none"]
        ]
        sets = [each["certainty"]["classes"] for each in known]
        labels = [_CLASSES[bool(self._labels[each["event_id"]])] for each in known]
        hits = sum(label in found for label, found in zip(labels, sets, strict=True))
        late = len(known) - shown["labels"]
        if late < 0:
            yield f"counts {shown['labels']} labels, of {len(known)}"
        elif not hits - late <= shown["covered"] <= min(hits, shown["labels"]):
            yield f"covers {shown['covered']} of {shown['labels']} labels, of {hits}, {late} late"
        elif not late and shown["size"] != sum(map(len, sets)):
            yield f"has the size {shown['size']}, of {sum(map(len, sets))}"
        findings.counts["blocks of which the coverage is known"] += 1
        findings.counts["blocks of which all labels came in time"] += not late

    def _events_of_blocks(self) -> Iterator[tuple[Mapping[str, Any], Values]]:
        """Yield each block with its events; with none where these cannot be.

        Blocks without a label are not published.
        """
        at, number = 0, 0
        for block in self._blocks:
            found: Values = ()
            last = at if block["number"] == number else len(self._predictions)
            for begin in range(at, last + 1):
                events = self._predictions[begin : begin + block["events"]]
                if _is_of(block, events):
                    found, at = events, begin + len(events)
                    break
            number = block["number"] + 1
            yield block, found


def shares_of(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Return the probabilities of both classes: a model that has learned one names no other.

    Examples
    --------
    >>> shares_of({"false": 1.0}), shares_of({})
    ({'false': 1.0, 'true': 0.0}, {})
    """
    shares = dict(probabilities)
    if shares:
        for name, other in (_CLASSES, _CLASSES[::-1]):
            shares.setdefault(name, 1 - probabilities.get(other, 0.0))
    return shares


def set_of(
    probabilities: Mapping[str, float], threshold: float | None
) -> tuple[dict[str, float], str]:
    """Return the classes that lack no more than the threshold to 1, or why there are none.

    Examples
    --------
    >>> set_of({"true": 0.75, "false": 0.25}, 0.3)
    ({'true': 0.75}, '')
    >>> set_of({}, 0.3)
    ({}, 'no_probabilities')
    """
    if not probabilities:
        return {}, "no_probabilities"
    if threshold is None:
        return {}, "no_label"
    shares = shares_of(probabilities)
    return {name: share for name, share in shares.items() if 1 - share <= threshold}, ""


def _is_of(block: Mapping[str, Any], events: Values) -> bool:
    """Whether these may be the events of a block."""
    times_ms = [each["event_time_ms"] for each in events]
    return (
        len(events) == block["events"]
        and {(each["definition"], each["model"]) for each in events}
        == {(block["definition"], block["champion"])}
        and (min(times_ms), max(times_ms)) == (block["first_time_ms"], block["last_time_ms"])
    )
