"""Who is ahead: what blocks of events have shown of each candidate against the champion.

A fold over the topic `evaluations`, whose blocks of all partitions it pools. What it holds against
the champion is evidence that is valid at any time (`evidence`): one may look as often as one likes.

A proof is not enough to be promoted. Two trees that are equal in law are not equal while one has
split and the other has not: for a thousand events the one is better by five points, and that is
proven, rightly. So the lead has to show again, in `REPEATS` stretches of events that follow the
proof, each of at least `min_labels` and with an e-value of 1/`AGAIN_ALPHA`, while the proof holds.
Of pairs of equal trees, 8 % were proven better at some time, and 1 % after two stretches
(`docs/explanation/selection.md` has the study).

The tests of a round begin together and share its part of alpha. Another round begins where another
champion serves, where the champion's loss drifts, where another loss counts, and for a candidate
that comes later; so alpha holds for the lifetime of a pipeline (`alpha_spending`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from math import log

from millrace.models.sealed import Fields
from millrace.models.selection.alpha_spending import alpha_share
from millrace.models.selection.evidence import Evidence
from millrace.models.selection.promotion import NO_PROMOTION, is_custom
from millrace.schemas.records import BlockLosses, Evaluation, PromotionTerms

REPEATS, AGAIN_ALPHA = 2, 0.5
"""How often a lead has to show again once it is proven, and by which e-value, as 1 over it."""


@dataclass(slots=True)
class Standing:
    """What is known of one candidate, challenger or baseline since the champion serves.

    Parameters
    ----------
    name, rival
        Of the candidate, and of the one that it is compared with.
    terms
        By what it is judged.
    alpha
        With which probability its test may err; None for what cannot serve.
    evidence
        Of being better than its rival.
    again, repeats
        What was seen since the proof, or since it showed again the last time; and how often it has.
    since
        Evidence of being better than the champion since that serves: without what was known before,
        and through drifts.
    labels, missing
        Labelled events that it was asked about, and those for which it made no prediction.
    loss
        Sum of its losses where it made one.
    """

    name: str
    rival: str
    terms: PromotionTerms
    alpha: float | None = None
    evidence: Evidence = field(default_factory=Evidence)
    again: Evidence | None = None
    repeats: int = 0
    since: Evidence = field(default_factory=Evidence)
    labels: int = 0
    missing: int = 0
    loss: float = 0.0

    @property
    def mean_loss(self) -> float | None:
        """Mean of its losses; None where it made no prediction."""
        count = self.labels - self.missing
        return self.loss / count if count else None

    @property
    def proof(self) -> float:
        """How much of the proof is there that it is better by more than the margin: 1 is one."""
        return self.evidence.log_e(self.terms["margin"]) / self._enough

    @property
    def counter_proof(self) -> float:
        """How much of the proof is there that it is worse at all."""
        return self.evidence.log_e_worse() / self._enough

    @property
    def is_proven(self) -> bool:
        """Whether it is better by more than the margin, by as many labels as are asked for."""
        may_be = self.evidence.mean > self.terms["margin"]  # else the e-value is at most 1
        return may_be and self.evidence.n >= self.terms["min_labels"] and self.proof >= 1

    @property
    def has_won(self) -> bool:
        """Whether it is proven better, and has shown so again since."""
        return self.repeats >= REPEATS

    @property
    def labels_needed(self) -> int | None:
        """About how many labels more it takes until it has won; None where that never comes."""
        needed = self.evidence.labels_needed(self._alpha, self.terms["margin"])
        if needed is None or self.has_won:
            return None if needed is None else 0
        least, stretches = self.terms["min_labels"], REPEATS - self.repeats
        if self.again is None:
            return max(needed, least - self.evidence.n) + stretches * least
        again = self.again.labels_needed(AGAIN_ALPHA, self.terms["margin"])
        rest = max(least - self.again.n, least if again is None else again)
        return rest + (stretches - 1) * least

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        evidence = {
            "evidence": self.evidence.to_fields(),
            "since": self.since.to_fields(),
            "again": None if self.again is None else self.again.to_fields(),
        }
        return {name: getattr(self, name) for name in self.__slots__} | evidence

    def begin_again(self) -> None:
        """Begin a test anew: its share of alpha is not known yet."""
        self.alpha, self.evidence, self.again, self.repeats = None, Evidence(), None, 0

    @property
    def _alpha(self) -> float:
        return self.terms["alpha"] if self.alpha is None else self.alpha

    @property
    def _enough(self) -> float:
        return -log(self._alpha)

    def add(self, losses: BlockLosses, is_compared: bool) -> None:
        """Add what it lost by a block of events."""
        self.labels += losses["events"]
        self.missing += losses["missing"]
        self.loss += losses["loss"]
        if is_compared:
            sums = losses["events"], losses["difference"], losses["squared_difference"]
            self.evidence.add(*sums)
            self.since.add(*sums)
            self._repeat(*sums)

    def _repeat(self, events: int, difference: float, squares: float) -> None:
        """Look whether what is proven shows again; where it is proven no more, begin anew."""
        least = self.terms["min_labels"]
        if not self.is_proven:
            self.again, self.repeats = None, 0
        elif self.again is None:
            self.again = Evidence()
        else:
            self.again.add(events, difference, squares)
            is_enough = self.again.log_e(self.terms["margin"]) >= -log(AGAIN_ALPHA)
            if self.again.n >= least and is_enough:
                self.again, self.repeats = Evidence(), self.repeats + 1


class Contest:
    """The standings of a pipeline.

    Parameters
    ----------
    baselines
        The names that cannot serve.

    Attributes
    ----------
    champion, former
        Who serves, and who did before; empty before the first block, and before another one.
    command
        Number of the last command that blocks have told of.
    standings
        Name to standing, the champion's included.
    terms, definition
        By what they are judged, and the definition that says so: those of the newest block.
    blocks, late_labels
        How many blocks of this champion there were, and labels that came after their blocks.
    since_ms, last_ms
        Event time at which the first of them began, and the newest of them; None before it.
    round_number
        Of the newest round of tests.

    Examples
    --------
    >>> from millrace.models.selection.promotion import Promotion
    >>> contest = Contest(baselines=["prior"])
    >>> losses = {"rival": "tree", "events": 100, "missing": 0}
    >>> of_tree = {**losses, "loss": 20.0, "difference": 0.0, "squared_difference": 0.0}
    >>> of_bayes = {**losses, "loss": 10.0, "difference": 10.0, "squared_difference": 16.0}
    >>> block = {"command": 0, "champion": "tree", "first_time_ms": 0, "last_time_ms": 9}
    >>> block |= {"candidates": {"tree": of_tree, "bayes": of_bayes}, "events": 100}
    >>> block |= {"terms": Promotion().terms("zero_one"), "definition": "", "loss_bound": 1.0}
    >>> block |= {"late_labels": 0, "drifted": []}
    >>> for number in range(12):
    ...     _ = contest.add({**block, "number": number})
    >>> bayes = contest.standings["bayes"]
    >>> contest.champion, bayes.labels, bayes.mean_loss, bayes.proof > 1
    ('tree', 1200, 0.1, True)
    """

    def __init__(self, baselines: Collection[str]) -> None:
        self.champion = self.former = ""
        self.standings: dict[str, Standing] = {}
        self.terms: PromotionTerms = NO_PROMOTION.terms("")
        self.blocks = self.late_labels = self.round_number = 0
        self.since_ms: int | None = None
        self.last_ms: int | None = None
        self.definition = ""
        self.command = 0
        self._baselines = frozenset(baselines)

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        saved = {name: value for name, value in vars(self).items() if name != "_baselines"}
        return saved | {"standings": [each.to_fields() for each in self.standings.values()]}

    def restore(self, fields: Fields) -> None:
        """Go on where one was that was saved."""
        for name, value in fields.items():
            setattr(self, name, value)
        standings = map(_restored, fields["standings"])
        self.standings = {each.name: each for each in standings}

    def add(self, block: Evaluation) -> bool:
        """Take the next block; return whether it is of the champion that serves by now.

        A partition may be behind: what it tells of an earlier champion, or an earlier loss, is
        passed over, and earlier terms do not count.
        """
        is_behind = block["command"] < self.command
        is_another, is_other_loss = block["champion"] != self.champion, self._counts_other(block)
        if is_behind and (is_another or is_other_loss):
            return False
        if is_another:
            self._begin(block["champion"])
        if is_other_loss:
            self.standings, self.blocks, self.late_labels, self.since_ms = {}, 0, 0, None
        if not is_behind:
            self.command, self.terms = block["command"], block["terms"]
            self.definition = block["definition"]
        if block["events"]:
            self._add(block)
        return True

    def in_test(self) -> Iterator[Standing]:
        """Yield those that may take the champion's place, or a candidate's."""
        for name, standing in self.standings.items():
            if name != self.champion and name not in self._baselines:
                yield standing

    def _counts_other(self, block: Evaluation) -> bool:
        """Whether losses of a block are others than before.

        The name of a loss that is the user's own does not tell whether it has changed.
        """
        metric = block["terms"]["metric"]
        is_another = is_custom(metric) and block["definition"] != self.definition
        return is_another or metric != self.terms["metric"]

    def _add(self, block: Evaluation) -> None:
        self.blocks += 1
        self.late_labels += block["late_labels"]
        self.last_ms = max(self.last_ms or 0, block["last_time_ms"])
        if self.since_ms is None:
            self.since_ms = block["first_time_ms"]
        self._enter(block)
        for name, losses in block["candidates"].items():
            self.standings[name].add(losses, is_compared=block["loss_bound"] is not None)
        if self.champion in block["drifted"] and self._has_enough():
            for each in self.in_test():
                each.begin_again()

    def _begin(self, champion: str) -> None:
        """Begin anew with another champion; what is known of it and the former one stays.

        One that is sent back has to show anew that it is better.
        """
        known, before = self.standings.get(champion), self.champion
        is_back, self.champion, self.former = champion == self.former, champion, before
        self.standings, self.since_ms, self.last_ms = {}, None, None
        self.blocks = self.late_labels = 0
        if known is not None and known.rival == before:
            evidence = known.evidence.turned()
            if is_back:
                evidence.forgo(self.terms["margin"])
            self.standings = {before: Standing(before, champion, self.terms, evidence=evidence)}

    def _enter(self, block: Evaluation) -> None:
        """Begin a round with those that are not in a test yet, if there are any."""
        for name, losses in block["candidates"].items():
            standing = self.standings.get(name)
            if standing is None or standing.rival != losses["rival"]:
                self.standings[name] = Standing(name, losses["rival"], self.terms)
        for each in self.standings.values():
            each.terms = self.terms
        begin = [each for each in self.in_test() if each.alpha is None]
        if begin:
            self.round_number += 1
            for each in begin:
                each.alpha = alpha_share(self.terms["alpha"], self.round_number, len(begin))

    def _has_enough(self) -> bool:
        """Whether the round is so old that a drift begins another one."""
        labels = max((each.evidence.n for each in self.in_test()), default=0)
        return labels >= self.terms["min_labels"]


def _restored(saved: Fields) -> Standing:
    """Return the standing that was saved."""
    again = saved["again"]
    evidence = {
        "evidence": Evidence.from_fields(saved["evidence"]),
        "since": Evidence.from_fields(saved["since"]),
        "again": None if again is None else Evidence.from_fields(again),
    }
    return Standing(**{**saved, **evidence})
