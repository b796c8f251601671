"""What the page shows beyond the newest records: folds of what workers write, in bounded memory.

All of it follows from the topics, and is rebuilt from them at start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.incumbents import incumbent_of
from millrace.models.certainty.coverage import NEWEST
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import RejectReason
from millrace.streams.docs.meanings import meanings
from millrace.streams.kafka.protocols import Clients
from millrace.streams.serve.curves import Curves
from millrace.streams.serve.fates import Fates
from millrace.streams.serve.flow import Flow
from millrace.streams.serve.knowledge import Knowledge, Seen
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.tools.evaluations import Followed, as_data, in_order, role_of
from millrace.streams.tools.verdicts import NOTHING, POLICIES, Verdict, meaning, verdict

_DAY_MS = 86_400_000
_BEHIND_SECONDS = 10.0
_NEWEST = 5
_MEANS = dict(meanings(RejectReason))


class Watched:
    """What is watched of a pipeline.

    Parameters
    ----------
    clients
        Of the broker.
    name
        The pipeline's.
    state_key
        Definitions are signed with it.
    knowledge
        The newest records.
    topic_names
        What topics of sources are called here, where that is not as in the definition.

    Attributes
    ----------
    curves, fates, flow
        See there.
    store
        The definitions.
    counts
        Topic to how many of its records were read.
    """

    def __init__(
        self,
        clients: Clients,
        name: str,
        state_key: bytes,
        knowledge: Knowledge,
        topic_names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name, self.prefix = name, f"{name}."
        self.knowledge, self._topic_names = knowledge, topic_names
        self.curves, self.fates = Curves(), Fates()
        self.flow = Flow(clients, self.prefix, sources=self._sources)
        self.store = DefinitionStore(clients, self.prefix, state_key)
        self.counts: Counter[str] = Counter()
        self._reasons: dict[str, dict[str, Any]] = {}
        self._alert_times: list[int] = []
        self._newest_ms = 0
        self._paused: dict[int, bool] = {}  # by partition

    def add(self, seen: Seen) -> None:
        """Take a record."""
        record = cast(Any, seen.record)
        self.counts[seen.topic] += 1
        match seen.topic:
            case "predictions":
                self.fates.predicted(record)
                self._newest_ms = max(self._newest_ms, record["event_time_ms"])
            case "outcomes":
                self.fates.ended(record)
            case "evaluations":
                self.curves.add(record)
                self._newest_ms = max(self._newest_ms, record["last_time_ms"])
            case "alerts":
                self.curves.alert(record)
                self._alert_times.append(record["event_time_ms"])
                del self._alert_times[:-1_000]
            case "rejects":
                self._reject(record)
            case "audit":
                if record["subject"] == "learning" and record["action"] in ("paused", "resumed"):
                    self._paused[seen.partition] = record["action"] == "paused"

    @property
    def is_paused(self) -> bool:
        """Whether models learn nothing at the moment."""
        return any(self._paused.values())

    def alerts_of_a_day(self) -> int:
        """Return how many alerts there were in the last day, by event time."""
        newest = max([self._newest_ms, *self._alert_times[-1:]])
        return sum(each > newest - _DAY_MS for each in self._alert_times)

    def rejects(self) -> list[dict[str, Any]]:
        """Return what was rejected by reason, the most frequent first."""
        found = sorted(self._reasons.items(), key=lambda each: -each[1]["count"])
        return [{"reason": name, **each, "meaning": _MEANS.get(name, "")} for name, each in found]

    def comparison(self) -> dict[str, Any]:
        """Return who serves, how all candidates compare, and what that means."""
        followed = self.knowledge.followed
        if followed is None:
            return {"verdict": Verdict("none", NOTHING).to_json(), "candidates": [], "notes": []}
        names = self.baselines
        promoter, contest = followed.promoter, followed.promoter.contest
        data = as_data(followed, names)
        candidates = []
        for each in in_order(contest, names):
            role = role_of(each.name, contest.champion, names)
            is_judged = role in ("candidate", "challenger")
            candidates.append(
                {
                    "name": each.name,
                    **data["candidates"][each.name],
                    "is_judged": is_judged,
                    "meaning": meaning(each, promoter.failed) if is_judged else "",
                }
            )
        notes = [POLICIES[contest.terms["policy"]]] if contest.champion else []
        if contest.late_labels:
            late = f"{contest.late_labels:,}"
            notes.append(f"Labels that came after their blocks, and count for none: {late}")
        taken = {"candidates", "groups"}
        return {
            "verdict": verdict(promoter, names).to_json(),
            **{name: value for name, value in data.items() if name not in taken},
            "labels": promoter.labels,
            "candidates": candidates,
            "notes": notes,
        }

    def overview(self, problem: str) -> dict[str, Any]:
        """Return the verdict, the state, and what needs attention.

        Parameters
        ----------
        problem
            Why the pipeline cannot be followed; empty while it can.
        """
        followed = self.knowledge.followed
        said = (
            Verdict("none", NOTHING)
            if followed is None
            else verdict(followed.promoter, self.baselines)
        )
        lag, alerts = self.flow.lag(), self.alerts_of_a_day()
        parts = [said.sentence.rstrip("."), f"{alerts} alert{'' if alerts == 1 else 's'} in a day"]
        coverage = None if followed is None else followed.coverage.as_data()
        low = self._low_coverage(coverage)
        if low:
            parts.append(low)
        if lag["seconds"] is not None:
            parts.append(f"lag {lag['seconds']:.1f} s")
        deployed = self.knowledge.deployed
        definition = self.knowledge.definition
        return {
            "pipeline": self.name,
            "task": "" if definition is None else definition.task,
            "verdict": {**said.to_json(), "sentence": f"{'; '.join(parts)}."},
            "champion": followed.promoter.contest.champion if followed else "",
            "rival": self._rival(followed),
            "labels": followed.promoter.labels if followed else 0,
            "since_ms": followed.promoter.contest.since_ms if followed else None,
            "is_on_probation": bool(followed and followed.promoter.is_on_probation),
            "policy": followed.promoter.contest.terms["policy"] if followed else "off",
            "is_paused": self.is_paused,
            "definition": "" if definition is None else definition.reference,
            "in_force_since_ms": deployed[-1].time_ms if deployed else None,
            "alerts_of_a_day": alerts,
            "alerts": self.knowledge.newest("alerts", _NEWEST),
            "rejects": sum(each["count"] for each in self._reasons.values()),
            "waiting": self.fates.waiting,
            "lag": lag,
            "coverage": coverage,
            "per_second": {
                **{each: self.flow.rate_of(each) for each in ("events", "labels")},
                "predictions": self.flow.rate("predictions"),
            },
            "attention": [*self._attention(problem, said, followed, lag, low)],
        }

    @property
    def baselines(self) -> Sequence[str]:
        """The names that cannot serve."""
        definition = self.knowledge.definition
        return [] if definition is None else [*baselines(definition.task)]

    def _sources(self) -> dict[str, Sequence[str]]:
        """Return the topics of others that are read, as they are called here."""
        definition, names = self.knowledge.definition, self._topic_names
        known = {} if definition is None else definition.sources
        return {names.get(each, each): holds for each, holds in known.items()}

    def _low_coverage(self, coverage: Mapping[str, Any] | None) -> str:
        """Return in words that labels are inside too seldom; nothing where they are not."""
        if coverage is None or not coverage["is_low"]:
            return ""
        definition = self.knowledge.definition
        is_number = definition is not None and definition.task == Task.REGRESSION
        return (
            f"{coverage['newest_share']:.1%} of the newest {NEWEST:,} labels were inside their"
            f" {'intervals' if is_number else 'sets'}, {coverage['wanted']:.1%} are wanted"
        )

    def _attention(
        self,
        problem: str,
        said: Verdict,
        followed: Followed | None,
        lag: Mapping[str, Any],
        low_coverage: str,
    ) -> list[dict[str, str]]:
        """Return what somebody should look at, the worst first."""
        found = []

        def note(tone: str, text: str, view: str) -> None:
            found.append({"tone": tone, "text": text, "view": view})

        if problem:
            note("bad", f"The pipeline cannot be followed: {problem}", "flow")
        if (lag["seconds"] or 0) > _BEHIND_SECONDS:
            records, seconds = f"{lag['records']:,}", f"{lag['seconds']:,.0f}"
            note("bad", f"Workers are {seconds} s behind: {records} records wait.", "flow")
        if self.flow.problem:
            note("unsure", f"The lag is not known: {self.flow.problem}", "flow")
        if said.tone == "bad":
            note("bad", f"{said.sentence}: it is not worth using as it is.", "models")
        if said.tone == "unsure":
            note("unsure", f"{said.sentence}.", "models")
        if low_coverage:
            note("bad", f"{low_coverage}.", "models")
        if self.is_paused:
            note("unsure", "Learning is paused: models stay as they are.", "models")
        if followed is not None:
            for tone, text in _of_contest(followed):
                note(tone, text, "models")
        if alerts := self.alerts_of_a_day():
            note("unsure", f"{alerts} alert{'' if alerts == 1 else 's'} in a day.", "alerts")
        if self._reasons:
            count = sum(each["count"] for each in self._reasons.values())
            most = max(self._reasons, key=lambda each: self._reasons[each]["count"])
            is_one = count == 1
            text = f"{count:,} record{'' if is_one else 's'} rejected, {most} most often."
            note("unsure", f"1 record rejected: {most}." if is_one else text, "rejects")
        return found

    def _rival(self, followed: Followed | None) -> str:
        """Return the candidate that is ahead of all others but the champion."""
        if followed is None:
            return ""
        contest = followed.promoter.contest
        known = [each for each in contest.in_test() if incumbent_of(each.name) == each.name]
        best = max(known, key=lambda each: each.evidence.mean, default=None)
        return "" if best is None else best.name

    def _reject(self, reject: Mapping[str, Any]) -> None:
        time_ms = reject["timestamp_ms"]
        known = self._reasons.setdefault(
            reject["reason"], {"count": 0, "first_ms": time_ms, "last_ms": time_ms}
        )
        known["count"] += 1
        known["first_ms"] = min(known["first_ms"], time_ms)
        known["last_ms"] = max(known["last_ms"], time_ms)


def _of_contest(followed: Followed) -> Iterator[tuple[str, str]]:
    """Yield who has won and does not serve, and who serves on probation, in words."""
    promoter = followed.promoter
    for each in promoter.contest.in_test():
        if each.has_won and each.terms["policy"] != "auto":
            yield "good", f"{each.name} {meaning(each, promoter.failed)}"
    if promoter.is_on_probation:
        yield "unsure", f"{promoter.contest.champion} serves on probation."
