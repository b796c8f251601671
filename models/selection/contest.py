"""Who is ahead: what blocks of events have shown of each candidate against the champion.

A fold over the topic `evaluations`, whose blocks of all partitions it pools. What it holds against
the champion is evidence that is valid at any time (`evidence`): one may look as often as one likes.

The tests of a round begin together and share its part of alpha. Another round begins where another
champion serves, where the champion's loss drifts, and for a candidate that comes later; so alpha
holds for the lifetime of a pipeline (`alpha_spending`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from math import log

from millrace.models.selection.alpha_spending import alpha_share
from millrace.models.selection.evidence import Evidence
from millrace.schemas.records import BlockLosses, Evaluation

ALPHA = 0.05
MARGIN = 0.01
"""By how much a candidate has to be better: what is less is not worth a change."""

MIN_LABELS = 500
"""After so many labels of a round, a drift of the champion's loss begins another one."""


@dataclass(slots=True)
class Standing:
    """What is known of one candidate, challenger or baseline since the champion serves.

    Parameters
    ----------
    name, rival
        Of the candidate, and of the one that it is compared with.
    alpha
        With which probability its test may err; None for what cannot serve.
    evidence
        Of being better than its rival.
    labels, missing
        Labelled events that it was asked about, and those for which it made no prediction.
    loss
        Sum of its losses where it made one.
    """

    name: str
    rival: str
    alpha: float | None
    evidence: Evidence = field(default_factory=Evidence)
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
        """How much of the proof is there that it is better by more than `MARGIN`: 1 is one."""
        return self.evidence.log_e(MARGIN) / -log(self.alpha or ALPHA)

    @property
    def counter_proof(self) -> float:
        """How much of the proof is there that it is worse at all."""
        return self.evidence.log_e_worse() / -log(self.alpha or ALPHA)

    @property
    def labels_needed(self) -> int | None:
        """About how many labels more it takes to prove it better; None where that never comes."""
        return self.evidence.labels_needed(self.alpha or ALPHA, MARGIN)


class Contest:
    """The standings of a pipeline.

    Parameters
    ----------
    baselines
        The names that cannot serve.
    alpha
        With which probability any model is ever found better that is not.

    Attributes
    ----------
    champion
        Who serves; empty before the first block.
    standings
        Name to standing, the champion's included.
    blocks, late_labels
        How many blocks of this champion there were, and labels that came after their blocks.
    since_ms
        Event time at which the first of them began; None before it.
    round_number
        Of the newest round of tests.

    Examples
    --------
    >>> contest = Contest(baselines=["prior"])
    >>> losses = {"rival": "tree", "events": 100, "missing": 0}
    >>> of_tree = {**losses, "loss": 20.0, "difference": 0.0, "squared_difference": 0.0}
    >>> of_bayes = {**losses, "loss": 10.0, "difference": 10.0, "squared_difference": 16.0}
    >>> block = {"partition": 0, "champion": "tree", "first_time_ms": 0, "loss_bound": 1.0}
    >>> block |= {"candidates": {"tree": of_tree, "bayes": of_bayes}}
    >>> for number in range(12):
    ...     contest.add({**block, "number": number, "late_labels": 0, "drifted": []})
    >>> bayes = contest.standings["bayes"]
    >>> contest.champion, bayes.labels, bayes.mean_loss, bayes.proof > 1
    ('tree', 1200, 0.1, True)
    """

    def __init__(self, baselines: Collection[str], alpha: float = ALPHA) -> None:
        self.champion = ""
        self.standings: dict[str, Standing] = {}
        self.blocks = self.late_labels = self.round_number = 0
        self.since_ms: int | None = None
        self._baselines = frozenset(baselines)
        self._alpha = alpha
        self._champions: dict[int, str] = {}  # of the newest block of each partition

    def add(self, block: Evaluation) -> None:
        """Take the next block. One of a partition where the champion does not serve yet is not."""
        champion, partition = block["champion"], block["partition"]
        if champion not in (self.champion, self._champions.get(partition)):
            self._begin(champion)
        self._champions[partition] = champion
        if champion != self.champion:
            return
        self.blocks += 1
        self.late_labels += block["late_labels"]
        if self.since_ms is None:
            self.since_ms = block["first_time_ms"]
        self._enter(block)
        for name, losses in block["candidates"].items():
            _add(self.standings[name], losses, is_compared=block["loss_bound"] is not None)
        if champion in block["drifted"] and self._labels_of_round() >= MIN_LABELS:
            for each in self._in_test():
                each.evidence, each.alpha = Evidence(), None

    def _begin(self, champion: str) -> None:
        """Begin anew with another champion; what is known of it and the former one stays."""
        known, former = self.standings.get(champion), self.standings.get(self.champion)
        self.champion, self.standings, self.since_ms = champion, {}, None
        self.blocks = self.late_labels = 0
        if known is not None and former is not None and known.rival == former.name:
            turned = Standing(former.name, champion, None, known.evidence.turned())
            self.standings = {former.name: turned}

    def _enter(self, block: Evaluation) -> None:
        """Begin a round with those that are not in a test yet, if there are any."""
        for name, losses in block["candidates"].items():
            standing = self.standings.get(name)
            if standing is None or standing.rival != losses["rival"]:
                self.standings[name] = Standing(name, losses["rival"], None)
        begin = [each for each in self._in_test() if each.alpha is None]
        if begin:
            self.round_number += 1
            for each in begin:
                each.alpha = alpha_share(self._alpha, self.round_number, len(begin))

    def _in_test(self) -> Iterator[Standing]:
        """Yield those that may take the champion's place, or a candidate's."""
        for name, standing in self.standings.items():
            if name != self.champion and name not in self._baselines:
                yield standing

    def _labels_of_round(self) -> int:
        return max((each.evidence.n for each in self._in_test()), default=0)


def _add(standing: Standing, losses: BlockLosses, is_compared: bool) -> None:
    standing.labels += losses["events"]
    standing.missing += losses["missing"]
    standing.loss += losses["loss"]
    if is_compared:
        difference, squares = losses["difference"], losses["squared_difference"]
        standing.evidence.add(losses["events"], difference, squares)
