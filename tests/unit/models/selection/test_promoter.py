"""What is decided: who is promoted, who is sent back, and how often that is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.models.selection.promoter import Action, Decision, Promoter
from millrace.models.selection.promotion import Promotion
from tests.unit.models.selection.test_contest import block

AHEAD = {"bayes": 18.0, "linear": 2.0, "tree": 0.0}
BEHIND = {"tree": 18.0, "linear": 2.0, "bayes": 0.0}


def terms(**changes: Any) -> Any:
    return Promotion(**changes).terms("zero_one")


@pytest.fixture
def promoter() -> Promoter:
    return Promoter(["prior"])


def add(promoter: Promoter, blocks: int, *place: Any, **changes: Any) -> list[Decision]:
    """Add so many equal blocks; return what was decided."""
    decided = [promoter.add(block(*place, **changes)) for _ in range(blocks)]
    return [each for each in decided if each is not None]


def promoted(promoter: Promoter, **changes: Any) -> None:
    """Let `bayes` be promoted, and serve."""
    (decision,) = add(promoter, 15, candidates=AHEAD, **changes)
    assert decision.model == "bayes"
    add(promoter, 1, 0, "bayes", candidates={"bayes": 0.0, "tree": 0.0}, **changes)


def test_what_has_won_is_promoted(promoter: Promoter) -> None:
    """Once, with the evidence in words, against the champion that serves."""
    (decision,) = add(promoter, 15, candidates=AHEAD)
    assert decision.action is Action.PROMOTE
    assert (decision.model, decision.champion, decision.labels) == ("bayes", "tree", 1500)
    assert decision.model_loss == pytest.approx(0.02)
    assert decision.champion_loss == pytest.approx(0.2)
    assert "bayes is better than tree by more than 0.01: mean difference" in decision.why
    assert add(promoter, 4, candidates=AHEAD) == []


def test_the_best_of_several_is_promoted(promoter: Promoter) -> None:
    """Both have won in the same block."""
    found = add(promoter, 15, candidates={"good": 12.0, "best": 18.0, "tree": 0.0})
    assert [each.model for each in found] == ["best"]


@pytest.mark.parametrize("name", ["prior", "gone"])
def test_what_cannot_serve_is_never_promoted(promoter: Promoter, name: str) -> None:
    """Baselines, and candidates that are in the newest block no more."""
    add(promoter, 14, candidates={name: 18.0, "tree": 0.0})
    candidates = {"prior": 18.0, "tree": 0.0} if name == "prior" else {"tree": 0.0}
    assert add(promoter, 20, candidates=candidates) == []


def test_one_that_competes_for_another_place_is_not_promoted(promoter: Promoter) -> None:
    """It is better than its incumbent, which is no champion."""
    values = block(candidates={"bayes": 0.0, "new": 18.0, "tree": 0.0})
    values["candidates"]["new"]["rival"] = "bayes"
    assert [promoter.add(values) for _ in range(30)] == [None] * 30


def test_what_is_off_decides_nothing(promoter: Promoter) -> None:
    """The evidence is there all the same, and counts once it is on."""
    assert add(promoter, 40, candidates=AHEAD, terms=terms(policy="off")) == []
    assert promoter.contest.standings["bayes"].has_won
    assert [each.model for each in add(promoter, 1, candidates=AHEAD)] == ["bayes"]


def test_a_proposal_is_made_once(promoter: Promoter) -> None:
    """With another policy, it is decided."""
    found = add(promoter, 99, candidates=AHEAD, terms=terms(policy="propose"))
    assert [(each.action, each.model) for each in found] == [(Action.PROPOSE, "bayes")]
    assert [each.action for each in add(promoter, 1, candidates=AHEAD)] == [Action.PROMOTE]


def test_what_is_not_done_is_asked_for_again(promoter: Promoter) -> None:
    """Once there are twice as many labels, and some: the command may have been refused."""
    add(promoter, 15, candidates=AHEAD)
    assert add(promoter, 19, candidates=AHEAD) == []
    (again,) = add(promoter, 1, candidates=AHEAD)
    assert (again.action, again.is_repeated) == (Action.PROMOTE, True)


def test_one_after_the_other_is_asked_for(promoter: Promoter) -> None:
    """While a promotion may come into force, no other is asked for, unless its model is gone."""
    (first,) = add(promoter, 15, candidates=AHEAD)
    better = {"linear": 40.0, "bayes": 18.0, "tree": 0.0}
    assert add(promoter, 10, candidates=better) == []
    (other,) = add(promoter, 1, candidates={"linear": 40.0, "tree": 0.0})
    assert (first.model, other.model) == ("bayes", "linear")
    assert (first.is_repeated, other.is_repeated) == (False, False)
    assert first.command == other.command == 0


def test_one_that_does_worse_is_sent_back(promoter: Promoter) -> None:
    """Long before it would be proven worse at the level of a promotion."""
    promoted(promoter)
    candidates = {"bayes": 0.0, "tree": 8.0}
    (decision,) = add(promoter, 5, 0, "bayes", candidates=candidates)
    assert (decision.action, decision.model, decision.champion) == (
        *(Action.ROLLBACK, "tree"),
        "bayes",
    )
    assert "bayes does worse than tree since its promotion" in decision.why
    assert promoter.is_on_probation
    assert decision.labels < 600


def test_one_that_does_worse_later_is_sent_back(promoter: Promoter) -> None:
    """The test does not end with the probation: by day it was better, and by night it is not."""
    promoted(promoter)
    add(promoter, 30, 0, "bayes", candidates={"bayes": 0.0, "tree": -5.0})
    assert not promoter.is_on_probation
    found = add(promoter, 60, 0, "bayes", candidates={"bayes": 0.0, "tree": 6.0})
    assert found[0].action is Action.ROLLBACK


def test_a_failure_sends_it_back_at_once(promoter: Promoter) -> None:
    """A record of no events tells of it; after the probation it is no reason."""
    promoted(promoter)
    failed = {"events": 0, "candidates": {}, "failures": 1}
    (decision,) = add(promoter, 1, 0, "bayes", **failed)
    assert (decision.action, decision.model, decision.detector) == (
        *(Action.ROLLBACK, "tree"),
        "failure",
    )
    assert add(promoter, 3, 0, "bayes", **failed) == []


@pytest.mark.parametrize("definition", ["", "another"])
def test_what_has_failed_is_not_promoted_again(promoter: Promoter, definition: str) -> None:
    """Though it predicts better than the champion: before another definition is there."""
    promoted(promoter)
    add(promoter, 1, 0, "bayes", events=0, candidates={}, failures=1)
    saved = promoter.to_fields()
    promoter = Promoter(["prior"])
    promoter.restore(saved)
    assert promoter.failed == ["bayes"]
    found = add(promoter, 60, 0, "tree", candidates=AHEAD, command=2, definition=definition)
    assert [each.model for each in found][:1] == (["bayes"] if definition else [])
    assert promoter.failed == ([] if definition else ["bayes"])


def test_a_failure_of_the_first_blocks_sends_it_back(promoter: Promoter) -> None:
    """The report of it may be the first that is seen of the new champion."""
    add(promoter, 15, candidates=AHEAD)
    (decision,) = add(promoter, 1, 0, "bayes", events=0, candidates={}, failures=1)
    assert decision.action is Action.ROLLBACK


def test_where_the_champion_before_is_retired_there_is_no_way_back(promoter: Promoter) -> None:
    """A rollback would let serve whoever served before that one."""
    promoted(promoter)
    add(promoter, 1, 0, "bayes", candidates={"bayes": 0.0, "linear": 18.0})
    assert add(promoter, 1, 0, "bayes", events=0, candidates={}, failures=1) == []


def test_another_loss_says_nothing_of_what_was_seen_since_a_promotion(promoter: Promoter) -> None:
    """What speaks against the champion is counted by one loss alone."""
    promoted(promoter)
    behind = {"bayes": 0.0, "tree": 8.0}
    assert add(promoter, 2, 0, "bayes", candidates=behind) == []
    other = Promotion().terms("brier")
    assert add(promoter, 1, 0, "bayes", candidates=behind, terms=other) == []
    (decision,) = add(promoter, 1, 0, "bayes", candidates=behind, terms=other)
    assert (decision.action, decision.labels) == (Action.ROLLBACK, 200)


def test_after_its_probation_a_failure_is_no_reason(promoter: Promoter) -> None:
    """The policy for invalid predictions is for those."""
    promoted(promoter)
    add(promoter, 20, 0, "bayes", candidates={"bayes": 0.0, "tree": 0.0})
    assert add(promoter, 1, 0, "bayes", events=0, candidates={}, failures=1) == []


def test_one_that_somebody_lets_serve_is_not_sent_back(promoter: Promoter) -> None:
    """They have their reasons; and the champion before may be promoted, once that is proven."""
    add(promoter, 3, candidates={"bayes": 0.0, "tree": 0.0})
    add(promoter, 1, 0, "bayes", candidates={"bayes": 0.0, "tree": 0.0})
    assert add(promoter, 1, 0, "bayes", events=0, candidates={}, failures=1) == []
    assert not promoter.was_decided
    found = add(promoter, 40, 0, "bayes", candidates=BEHIND)
    assert [each.action for each in found][:1] == [Action.PROMOTE]


def test_the_first_of_two_that_were_asked_for_is_on_probation(promoter: Promoter) -> None:
    """While it does not serve yet, another may get ahead; that command is refused."""
    asked = add(promoter, 15, candidates=AHEAD)
    asked += add(promoter, 20, candidates={"linear": 40.0, "bayes": 18.0, "tree": 0.0})
    assert [each.model for each in asked][:2] == ["bayes", "linear"]
    add(promoter, 1, 0, "bayes", candidates={"bayes": 0.0, "tree": 0.0})
    assert promoter.is_on_probation


def test_a_proposal_that_is_confirmed_is_on_probation(promoter: Promoter) -> None:
    """And to send it back is proposed, too."""
    proposing = terms(policy="propose")
    promoted(promoter, terms=proposing)
    assert promoter.is_on_probation
    candidates = {"bayes": 0.0, "tree": 8.0}
    found = add(promoter, 9, 0, "bayes", candidates=candidates, terms=proposing)
    assert [(each.action, each.model) for each in found] == [(Action.PROPOSE, "tree")]


def test_it_goes_on_where_it_was_saved(promoter: Promoter) -> None:
    """With what was asked for, and what was seen since a promotion."""
    promoted(promoter)
    add(promoter, 2, 0, "bayes", candidates={"bayes": 0.0, "tree": 3.0})
    other = Promoter(["prior"])
    other.restore(promoter.to_fields())
    decided = [
        add(each, 9, 0, "bayes", candidates={"bayes": 0.0, "tree": 8.0})
        for each in (promoter, other)
    ]
    assert decided[0] == decided[1] != []
    assert other.to_fields() == promoter.to_fields()
