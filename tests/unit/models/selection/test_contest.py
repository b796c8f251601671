"""A contest pools blocks of all partitions, and begins anew where what it shows is over."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.models.selection.contest import REPEATS, Contest
from millrace.models.selection.promotion import Promotion
from millrace.schemas.records import BlockLosses, Evaluation


def losses(difference: float, rival: str = "tree") -> BlockLosses:
    """Return the losses of a hundred events at which a candidate is better by so much in all."""
    return BlockLosses(
        rival=rival,
        events=100,
        missing=0,
        loss=20.0 - difference,
        bounded_loss=20.0 - difference,
        difference=difference,
        squared_difference=abs(difference) + 10.0,
    )


def block(partition: int = 0, champion: str = "tree", /, **changes: Any) -> Evaluation:
    """Return a block; candidates are given by how much better they are."""
    candidates = changes.pop("candidates", {"bayes": 5.0, "tree": 0.0})
    made = Evaluation(
        partition=partition,
        number=0,
        definition="",
        champion=champion,
        command=changes.pop("command", 0),
        first_time_ms=7,
        last_time_ms=8,
        events=100,
        late_labels=0,
        failures=0,
        loss_bound=1.0,
        drifted=[],
        terms=Promotion().terms("zero_one"),
        candidates={name: losses(each, champion) for name, each in candidates.items()},
        groups={},
        metrics={},
        certainty=None,
    )
    made.update(changes)  # type: ignore[typeddict-item]
    return made


@pytest.fixture
def contest() -> Contest:
    return Contest(["prior"])


def test_partitions_are_pooled(contest: Contest) -> None:
    """Labels, losses and differences of all partitions count."""
    for partition in (0, 1, 2, 1):
        contest.add(block(partition))
    bayes = contest.standings["bayes"]
    assert (bayes.labels, bayes.evidence.n, bayes.evidence.total) == (400, 400, 20.0)
    assert bayes.mean_loss == pytest.approx(0.15)
    assert (contest.champion, contest.blocks, contest.since_ms) == ("tree", 4, 7)


def test_tests_of_a_round_share_alpha(contest: Contest) -> None:
    """Each of two has half of the first round's share; baselines have none."""
    contest.add(block(candidates={"bayes": 1.0, "linear": 2.0, "prior": -3.0, "tree": 0.0}))
    shares = {name: each.alpha for name, each in contest.standings.items()}
    assert shares["bayes"] == shares["linear"] == pytest.approx(0.05 * 0.6079 / 2, rel=1e-3)
    assert shares["prior"] is shares["tree"] is None


def test_one_that_comes_later_begins_another_round(contest: Contest) -> None:
    """Its share is that of the second round; the others keep theirs, and their evidence."""
    contest.add(block())
    before = contest.standings["bayes"].alpha
    contest.add(block(candidates={"bayes": 5.0, "tree": 0.0, "late": 1.0}))
    assert contest.round_number == 2
    assert contest.standings["bayes"].alpha == before
    assert contest.standings["bayes"].labels == 200
    assert contest.standings["late"].alpha == pytest.approx(before / 4 if before else 0)


def test_another_champion_begins_anew(contest: Contest) -> None:
    """All are compared with it from then on; what was known of it and the former one stays."""
    for _ in range(3):
        contest.add(block(candidates={"bayes": 5.0, "linear": 1.0, "tree": 0.0}))
    contest.add(block(0, "bayes", candidates={"bayes": 0.0, "linear": -2.0, "tree": -4.0}))
    assert (contest.champion, contest.blocks, contest.round_number) == ("bayes", 1, 2)
    tree, linear = contest.standings["tree"], contest.standings["linear"]
    assert (tree.evidence.n, tree.evidence.total) == (400, -19.0)
    assert (linear.evidence.n, linear.evidence.total) == (100, -2.0)


def test_a_partition_that_is_behind_brings_no_champion_back(contest: Contest) -> None:
    """Its blocks under the former champion are passed over until it has caught up."""
    for partition in (0, 1):
        contest.add(block(partition))
    contest.add(block(0, "bayes", command=7, candidates={"bayes": 0.0, "tree": -4.0}))
    contest.add(block(1))
    assert (contest.champion, contest.standings["tree"].evidence.n) == ("bayes", 300)
    contest.add(block(1, "bayes", command=7, candidates={"bayes": 0.0, "tree": -4.0}))
    assert contest.standings["tree"].evidence.n == 400
    contest.add(block(1, "tree", command=8))  # a rollback
    assert contest.champion == "tree"


def test_the_first_block_of_a_slow_partition_brings_no_champion_back(contest: Contest) -> None:
    """It began under the former one, and nothing was seen of that partition before."""
    contest.add(block(0))
    contest.add(block(0, "bayes", command=7, candidates={"bayes": 0.0, "tree": -4.0}))
    assert not contest.add(block(1))
    assert contest.add(block(0, "bayes", command=7, candidates={"bayes": 0.0, "tree": -4.0}))
    assert (contest.champion, contest.blocks) == ("bayes", 2)


def test_a_partition_that_is_behind_brings_no_terms_back(contest: Contest) -> None:
    """Its losses count, if they are of the same kind, and not by the terms of before."""
    off, log_loss = Promotion(policy="off").terms("zero_one"), Promotion().terms("log_loss")
    contest.add(block(0))
    contest.add(block(0, command=3, terms=off))
    assert contest.add(block(1))
    assert (contest.terms, contest.blocks) == (off, 3)
    contest.add(block(0, command=4, terms=log_loss))
    before = contest.to_fields()
    assert not contest.add(block(1, command=3, terms=off))
    assert contest.to_fields() == before


def test_losses_of_another_kind_begin_anew(contest: Contest) -> None:
    """By another name, or, where they are the user's own, by another definition."""
    for metric, definition, blocks in [
        ("zero_one", "d1", 1),
        ("zero_one", "d2", 2),
        ("brier", "d2", 1),
        ("costs", "d2", 1),
        ("costs", "d2", 2),
        ("costs", "d3", 1),
        ("mine()", "d3", 1),
        ("mine()", "d4", 1),
    ]:
        contest.add(block(terms=Promotion().terms(metric), definition=definition))
        assert (contest.blocks, contest.standings["bayes"].evidence.n) == (blocks, 100 * blocks)


def test_a_drift_of_the_champion_begins_another_round(contest: Contest) -> None:
    """What was seen before is no evidence any more, once a round has enough labels."""
    contest.add(block(drifted=["tree"]))
    assert contest.standings["bayes"].evidence.n == 100
    for _ in range(4):
        contest.add(block(drifted=["bayes"]))
    assert contest.standings["bayes"].evidence.n == 500
    contest.add(block(drifted=["tree"]))
    assert contest.standings["bayes"].evidence.n == contest.standings["bayes"].repeats == 0
    contest.add(block())
    assert (contest.standings["bayes"].evidence.n, contest.round_number) == (100, 2)


def test_losses_that_are_not_bounded_yet_are_no_evidence(contest: Contest) -> None:
    """They are losses all the same."""
    contest.add(block(loss_bound=None))
    bayes = contest.standings["bayes"]
    assert (bayes.labels, bayes.evidence.n, bayes.proof) == (100, 0, 0.0)


def test_what_is_proven(contest: Contest) -> None:
    """The proof grows with the labels, to 1 where it is one; of the other there is none."""
    proofs = []
    for _ in range(30):
        contest.add(block(candidates={"bayes": 5.0, "linear": -5.0, "tree": 0.0}))
        proofs.append(contest.standings["bayes"].proof)
    assert proofs[0] < 0.5
    assert proofs[-1] > 1
    bayes, linear = contest.standings["bayes"], contest.standings["linear"]
    assert (bayes.labels_needed, linear.labels_needed) == (0, None)
    assert linear.counter_proof > 1 > linear.proof


def test_a_proof_has_to_show_again(contest: Contest) -> None:
    """It takes `min_labels` for the proof, and as many for each of the repeats."""
    needed = []
    while not contest.standings or not contest.standings["bayes"].has_won:
        contest.add(block(candidates={"bayes": 18.0, "tree": 0.0}))
        needed.append(contest.standings["bayes"].labels_needed)
    assert contest.standings["bayes"].labels == 500 * (1 + REPEATS)
    assert needed == [*range(1400, -1, -100)]


def test_a_lead_that_ends_does_not_show_again(contest: Contest) -> None:
    """It is proven, and stays so for long: the events after the proof say nothing for it."""
    for _ in range(10):
        contest.add(block(candidates={"bayes": 18.0, "tree": 0.0}))
    contest.standings["bayes"].again, contest.standings["bayes"].repeats = None, 0
    for _ in range(30):
        contest.add(block(candidates={"bayes": 0.0, "tree": 0.0}))
    bayes = contest.standings["bayes"]
    assert bayes.proof > 1
    assert (bayes.has_won, bayes.repeats) == (False, 0)


def test_a_proof_that_is_lost_has_to_show_again_from_the_start(contest: Contest) -> None:
    """Whatever it has shown before is forgotten."""
    for _ in range(11):
        contest.add(block(candidates={"bayes": 18.0, "tree": 0.0}))
    assert contest.standings["bayes"].repeats == 1
    for _ in range(20):
        contest.add(block(candidates={"bayes": -20.0, "tree": 0.0}))
    bayes = contest.standings["bayes"]
    assert (bayes.proof < 1, bayes.again, bayes.repeats) == (True, None, 0)


def test_the_terms_are_those_of_the_newest_block(contest: Contest) -> None:
    """With a smaller margin, or fewer labels, it is proven sooner."""
    for _ in range(6):
        contest.add(block(candidates={"bayes": 3.0, "tree": 0.0}))
    before = contest.standings["bayes"].proof
    terms = Promotion(margin=0.0, min_labels=100).terms("zero_one")
    contest.add(block(candidates={"bayes": 3.0, "tree": 0.0}, terms=terms))
    assert contest.standings["bayes"].proof > before
    assert contest.standings["bayes"].terms == contest.terms == terms


def test_one_that_is_sent_back_has_to_show_anew_that_it_is_better(contest: Contest) -> None:
    """What was known for it is forgone; what is known against it counts."""
    for _ in range(10):
        contest.add(block(candidates={"bayes": 18.0, "tree": 0.0}))
    contest.add(block(0, "bayes", candidates={"bayes": 0.0, "tree": -18.0}))
    assert contest.standings["tree"].counter_proof > 1
    contest.add(block(0, "tree", candidates={"bayes": 18.0, "tree": 0.0}))
    bayes = contest.standings["bayes"]
    assert (bayes.evidence.n, bayes.evidence.mean) == (1200, pytest.approx(0.18))
    assert bayes.proof < 1


def test_a_record_of_no_events_changes_no_standing(contest: Contest) -> None:
    """It may tell that another champion serves."""
    contest.add(block())
    contest.add(block(events=0, candidates={}, failures=1))
    assert (contest.blocks, contest.standings["bayes"].labels) == (1, 100)
    assert contest.add(block(0, "bayes", events=0, candidates={}, failures=1))
    assert (contest.champion, contest.former, contest.blocks) == ("bayes", "tree", 0)


def test_it_goes_on_where_it_was_saved(contest: Contest) -> None:
    """The copy comes to the same by the same blocks."""
    for partition in (0, 1, 0, 0, 1, 1, 0, 1):
        contest.add(block(partition, candidates={"bayes": 18.0, "tree": 0.0}))
    contest.add(block(0, "bayes", candidates={"bayes": 0.0, "tree": -9.0}))
    other = Contest(["prior"])
    other.restore(contest.to_fields())
    for each in (contest, other):
        each.add(block(1, "tree"))
        each.add(block(1, "bayes", candidates={"bayes": 0.0, "tree": 7.0, "late": 1.0}))
    assert other.to_fields() == contest.to_fields()
