"""Who is to serve: what is decided by the standings of the candidates, and by the terms.

A fold over the topic `evaluations`, as `contest` is. It decides that a candidate is promoted once
it has won, and that one that was promoted is sent back: as soon as it has done worse since then
than the champion before, by the same test at `PROBATION_ALPHA` without a margin, and while it is on
probation also as soon as it fails to predict.

The test does not end with the probation. A candidate that is better by day and worse by night may
pass any probation that is shorter; a test that is valid at any time costs nothing to go on with.

A decision is asked for, by a command, and is seen when blocks come that another champion served.
Where it is not, since the command was refused, or blocks from before it still come, it is asked for
again once there are twice as many labels.

What has failed while it was on probation is not promoted again before another definition is there:
it may predict well, and would be promoted and sent back for ever.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from math import exp, log
from typing import NamedTuple

from millrace.models.sealed import Fields
from millrace.models.selection.contest import Contest, Standing
from millrace.models.selection.evidence import Evidence
from millrace.models.selection.promotion import PromotionPolicy
from millrace.schemas.records import Evaluation

PROBATION_ALPHA = 0.2
"""The chance that a candidate is sent back that is no worse: it costs little to be wrong."""

E_PROCESS = "e_process"
"""What has found that one model is better than another."""

_LARGEST_POWER = 700.0  # of e that is a float


class Action(StrEnum):
    """What is asked for."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    PROPOSE = "propose"


class Decision(NamedTuple):
    """That another candidate is to serve.

    Attributes
    ----------
    action
        What is asked for.
    model, champion
        Who is to serve, and who does.
    why
        The evidence in words.
    detector
        What found it: `e_process`, or `failure`.
    labels
        How many labelled events it rests on.
    champion_loss, model_loss
        The mean losses of both since the champion serves; 0 where nothing is known.
    time_ms
        Event time of the newest event that led to it.
    command
        Number of the last command before it, as far as is known.
    is_repeated
        Whether the same was decided before, since the champion serves.
    """

    action: Action
    model: str
    champion: str
    why: str
    detector: str
    labels: int
    champion_loss: float
    model_loss: float
    time_ms: int
    command: int
    is_repeated: bool = False


@dataclass(slots=True)
class _Asked:
    """The last decision: who was to serve, and after how many labels of the champion.

    Parameters
    ----------
    is_proposal
        Whether somebody is to confirm it.
    promotions
        All that were to serve, and not again, since the champion serves. The command that counts
        may be one before the last: blocks of the champion go on to come until it is applied.
    told
        All that was decided since the champion serves: the actions and models.
    """

    model: str
    labels: int
    is_proposal: bool
    promotions: list[str]
    told: list[list[str]] = field(default_factory=list)


class Promoter:
    """Decides who is to serve.

    Parameters
    ----------
    baselines
        The names that cannot serve.

    Attributes
    ----------
    contest
        The standings.
    was_decided
        Whether the champion serves since that was decided, and may be sent back.
    failed
        Candidates that have failed on probation under this definition.
    """

    def __init__(self, baselines: Collection[str]) -> None:
        self.contest = Contest(baselines)
        self.was_decided = False
        self._asked: _Asked | None = None
        self.failed: list[str] = []

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {
            "contest": self.contest.to_fields(),
            "was_decided": self.was_decided,
            "asked": self._asked and asdict(self._asked),
            "failed": self.failed,
        }

    def restore(self, fields: Fields) -> None:
        """Go on where one was that was saved."""
        self.contest.restore(fields["contest"])
        self.was_decided = fields["was_decided"]
        self.failed = fields.get("failed", [])
        if (saved := fields["asked"]) is not None:
            self._asked = _Asked(**saved)

    @property
    def is_on_probation(self) -> bool:
        """Whether a failure sends the champion back."""
        return self.was_decided and self.labels < self.contest.terms["probation"]

    @property
    def labels(self) -> int:
        """How many labelled events the champion has served."""
        champion = self.contest.standings.get(self.contest.champion)
        return 0 if champion is None else champion.labels

    def add(self, block: Evaluation) -> Decision | None:
        """Take the next block; return what is decided, if anything is."""
        champion, definition = self.contest.champion, self.contest.definition
        if not self.contest.add(block):
            return None
        if self.contest.champion != champion:
            self._serve_by_another()
        if self.contest.definition != definition:
            self.failed = []
        if self.contest.terms["policy"] == PromotionPolicy.OFF:
            return None
        decision = self._roll_back(block) if self.was_decided else None
        decision = decision or self._promote(block)
        if decision is None or self._has_asked(decision, block):
            return None
        is_proposal, asked = decision.action is Action.PROPOSE, self._asked
        promotions, told = ([], []) if asked is None else (asked.promotions, asked.told)
        if not self._is_back(decision.model):
            promotions = sorted({*promotions, decision.model})
        this = [decision.action.value, decision.model]
        self._asked = _Asked(decision.model, self.labels, is_proposal, promotions, [*told, this])
        return decision._replace(is_repeated=this in told)

    def _serve_by_another(self) -> None:
        """Put the champion on probation, if it serves since that was decided or proposed."""
        asked, self._asked = self._asked, None
        self.was_decided = asked is not None and self.contest.champion in asked.promotions

    def _roll_back(self, block: Evaluation) -> Decision | None:
        """Decide that the champion is sent back, unless the one before has been retired."""
        champion, former = self.contest.champion, self.contest.former
        if block["events"] and former not in block["candidates"]:
            self.was_decided = False
        elif (failures := block["failures"]) and self.is_on_probation:
            events = "an event" if failures == 1 else f"{failures:,} events"
            why = f"{champion} failed at {events}, and others did not"
            self.failed = sorted({*self.failed, champion})
            return self._decision(former, why, "failure")
        elif block["events"]:
            since = self.contest.standings[former].since
            if since.log_e() >= -log(PROBATION_ALPHA):
                why = f"{champion} does worse than {former} since its promotion: "
                return self._decision(former, why + _told(since, PROBATION_ALPHA), E_PROCESS)
        return None

    def _is_back(self, model: str) -> bool:
        """Whether it would go back to the champion before, as long as that may be."""
        return self.was_decided and model == self.contest.former

    def _promote(self, block: Evaluation) -> Decision | None:
        """Decide that the best of those that have won is to serve."""
        won = [each for each in self.contest.in_test() if self._may_serve(each, block)]
        if not won:
            return None
        best, margin = max(won, key=lambda each: each.evidence.mean), self.contest.terms["margin"]
        assert best.alpha is not None
        told = _told(best.evidence, best.alpha, margin)
        why = f"{best.name} is better than {best.rival} by more than {margin:g}: {told}"
        return self._decision(best.name, why, E_PROCESS)

    def _may_serve(self, standing: Standing, block: Evaluation) -> bool:
        is_there = standing.name in block["candidates"] and standing.name not in self.failed
        return is_there and standing.rival == self.contest.champion and standing.has_won

    def _has_asked(self, decision: Decision, block: Evaluation) -> bool:
        """Whether the same was decided not long ago; a proposal is made once.

        No promotion is asked for while something else may come into force.
        """
        asked, is_proposal = self._asked, decision.action is Action.PROPOSE
        if asked is None or asked.is_proposal is not is_proposal:
            return False
        is_same = asked.model == decision.model
        if is_proposal:
            return is_same
        if decision.action is Action.PROMOTE and not is_same:
            is_same = asked.model in block["candidates"]
        return is_same and self.labels < 2 * asked.labels + self.contest.terms["min_labels"]

    def _decision(self, model: str, why: str, detector: str) -> Decision:
        standings, champion = self.contest.standings, self.contest.champion
        action = Action.ROLLBACK if self._is_back(model) else Action.PROMOTE
        if self.contest.terms["policy"] == PromotionPolicy.PROPOSE:
            action = Action.PROPOSE
        means = [
            each.mean_loss if (each := standings.get(name)) is not None else None
            for name in (champion, model)
        ]
        champion_loss, model_loss = (each or 0.0 for each in means)
        labels, time_ms = self.labels, self.contest.last_ms or 0
        return Decision(
            *(action, model, champion, why, detector, labels, champion_loss, model_loss, time_ms),
            command=self.contest.command,
        )


def _told(evidence: Evidence, alpha: float, margin: float = 0.0) -> str:
    """Return evidence in words."""
    lower, upper = evidence.interval(alpha)
    e_value = exp(min(evidence.log_e(margin), _LARGEST_POWER))
    return (
        f"mean difference of losses {evidence.mean:.4f} ({lower:.4f} to {upper:.4f}) over"
        f" {evidence.n:,} labels; e-value {e_value:.3g}, and {1 / alpha:.3g} is enough"
    )
