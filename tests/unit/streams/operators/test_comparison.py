"""Candidates are compared by the loss that a definition asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from river.base import Classifier
from river.dummy import StatisticRegressor
from river.stats import Mean

from millrace.models.pipeline.comparison_losses import comparison_loss, own_loss
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.promotion import Promotion
from millrace.schemas.records import Evaluation, FeatureVector, Predicted
from millrace.streams.operators.block_queue import Published
from millrace.streams.operators.event_blocks import EventBlocks
from millrace.streams.operators.joined import Joined, JoinedColumns
from millrace.streams.operators.record import NOWHERE, Record
from millrace.streams.operators.slice import Slice
from millrace.streams.operators.waiting import WaitingEvents
from tests.unit.streams.operators.apart import Apart
from tests.unit.streams.operators.commanding import Control, folded, make_task

Make = Callable[..., Any]
BEGIN_MS = 1_700_000_000_000


class Believes(Classifier):  # type: ignore[misc]  # River has no types
    """Always gives true the same probability."""

    def __init__(self, p: float) -> None:
        self.p = p

    def learn_one(self, x: object, y: object) -> None:
        """Learn nothing."""

    def predict_proba_one(self, x: object, **_: object) -> dict[bool, float]:
        return {False: 1.0 - self.p, True: self.p}


def sure() -> Believes:
    return Believes(0.9)


def careful() -> Believes:
    return Believes(0.7)


def squared(label: bool, value: bool, probabilities: dict[str, float]) -> float:
    """Return the same as `brier`."""
    assert type(value) is bool
    return (1.0 - probabilities[str(label)]) ** 2


def compared_by(pipeline: Pipeline, metric: Any) -> Pipeline:
    """Return a pipeline whose candidates are compared by a loss."""
    return replace(pipeline, promotion=Promotion(metric=metric, policy="off"))


@pytest.fixture
def make_beliefs(make_pipeline: Make) -> Make:
    """Make a pipeline of two candidates that believe in true, compared by a loss."""

    def make(metric: Any, **changes: Any) -> Pipeline:
        models = {"sure": sure, "careful": careful}
        return compared_by(make_pipeline(models=models, **changes), metric)

    return make


@pytest.fixture
def labelled(make_vector: Make) -> Callable[[int], list[Record]]:
    """Make events, every fourth of which is false."""

    def make(count: int) -> list[Record]:
        return [make_vector(f"e{n}", BEGIN_MS + n, label=n % 4 != 0) for n in range(count)]

    return make


def blocks_of(made: Iterable[Record]) -> list[Evaluation]:
    """Return the blocks among records."""
    return [each.value for each in made if each.topic == "evaluations"]  # type: ignore[misc]


@pytest.mark.parametrize("metric", ["brier", squared])
def test_all_candidates_give_probabilities(
    metric: Any, make_beliefs: Make, labelled: Callable[[int], list[Record]]
) -> None:
    """And baselines do: no change is certain, and the prior has frequencies."""
    (block,) = blocks_of(folded(make_task(make_beliefs(metric)), labelled(100)))
    found = block["candidates"]
    assert block["loss_bound"] == 1.0
    assert found["sure"]["loss"] == pytest.approx(75 * 0.1**2 + 25 * 0.9**2)
    assert found["careful"]["loss"] == pytest.approx(75 * 0.3**2 + 25 * 0.7**2)
    assert found["careful"]["bounded_loss"] == pytest.approx(found["careful"]["loss"])
    assert found["careful"]["difference"] == pytest.approx(75 * -0.08 + 25 * 0.32)
    assert found["careful"]["squared_difference"] == pytest.approx(75 * 0.08**2 + 25 * 0.32**2)
    assert found["no_change"]["loss"] == 25 + 24  # at each false label, and after all but the last
    assert found["no_change"]["missing"] == found["prior"]["missing"] == 1
    shares = [(n - (n + 3) // 4) / n for n in range(1, 100)]  # of true among n labels
    squares = [((n % 4 != 0) - share) ** 2 for n, share in enumerate(shares, start=1)]
    assert found["prior"]["loss"] == pytest.approx(sum(squares))


def test_costs_may_turn_the_order_over(
    make_pipeline: Make, labelled: Callable[[int], list[Record]]
) -> None:
    """Who errs more often may cost less."""
    models = {"yes": sure, "no": lambda: Believes(0.1)}
    costs = {(True, False): 1.0, (False, True): 10.0}
    pipeline = compared_by(make_pipeline(models=models), costs)
    (block,) = blocks_of(folded(make_task(pipeline), labelled(100)))
    assert block["candidates"]["yes"]["loss"] == 25.0
    assert block["candidates"]["no"]["loss"] == pytest.approx(7.5)
    assert block["candidates"]["no"]["difference"] == pytest.approx(17.5)


@pytest.mark.parametrize("metric", ["zero_one", "log_loss", "brier", squared])
def test_slices_change_nothing(
    metric: Any, make_beliefs: Make, labelled: Callable[[int], list[Record]]
) -> None:
    """To the last bit."""
    pipeline, records = make_beliefs(metric), labelled(450)
    at_once = blocks_of(folded(make_task(pipeline), records))
    task = make_task(pipeline)
    one_by_one = [each for record in records for each in blocks_of(folded(task, [record]))]
    in_parts = make_task(pipeline)
    parts = [records[at : at + 37] for at in range(0, len(records), 37)]
    assert at_once == one_by_one != []
    assert at_once == [each for part in parts for each in blocks_of(folded(in_parts, part))]


def test_the_own_loss_costs_nothing_more(make_pipeline: Make) -> None:
    """It is the same column, and only the champion gives probabilities."""
    vector = FeatureVector(event_id="e", key=None, event_time_ms=0, label=True, features={})
    predicted = {"sure": Predicted(value=False, probabilities={"False": 0.8, "True": 0.2})}
    joined = Joined(vector, predicted, True, None, None, None, 0, None)  # type: ignore[arg-type]
    for loss in (None, own_loss(Task.BINARY)):
        columns = JoinedColumns(Task.BINARY, [joined], ["sure"], loss)
        assert columns.comparison is columns.losses
        assert columns.comparison_failures == ()
    brier = comparison_loss("brier", Task.BINARY, make_pipeline().allowed_labels)
    columns = JoinedColumns(Task.BINARY, [joined], ["sure"], brier)
    assert columns.losses == {"sure": [1.0]}
    assert columns.comparison == {"sure": [pytest.approx(0.64)]}


class TestFailures:
    @staticmethod
    def fails(label: bool, value: bool, probabilities: dict[str, float]) -> float:
        """Raise where somebody careful was wrong."""
        if not label and probabilities["True"] == 0.7:
            raise ValueError("who was careful?")
        return 0.5 if label is value else 1.0

    @pytest.mark.parametrize("is_apart", [True, False])
    def test_a_failure_is_a_reject_and_favours_nobody(
        self, is_apart: bool, make_beliefs: Make, labelled: Callable[[int], list[Record]]
    ) -> None:
        """The event counts for no difference between any two, and its label is rejected."""
        pipeline = make_beliefs(self.fails)
        if is_apart:
            operator = Apart(pipeline).operator
            made, tally = operator.run(Slice(labelled(100))), operator.tally
        else:
            task = make_task(pipeline)
            made, tally = folded(task, labelled(100)), task.take_tally()
        rejects = [each for each in made if each.topic == "rejects"]
        assert {each.value["reason"] for each in rejects} == {"evaluate_error"}  # type: ignore[attr-defined]
        assert "who was careful?" in rejects[0].value["detail"]  # type: ignore[attr-defined]
        assert len(rejects) == tally["rejected_label", "evaluate_error"] == 25
        (block,) = blocks_of(made)
        for name in ("sure", "careful"):
            losses = block["candidates"][name]
            assert (losses["events"], losses["missing"], losses["loss"]) == (100, 25, 37.5)
            assert losses["difference"] == losses["squared_difference"] == 0.0

    def test_models_learn_all_the_same(
        self, make_beliefs: Make, labelled: Callable[[int], list[Record]]
    ) -> None:
        """And outcomes have the task's own loss."""
        made = folded(make_task(make_beliefs(self.fails)), labelled(8))
        outcomes = [each.value for each in made if each.topic == "outcomes"]
        assert [each["losses"]["sure"] for each in outcomes] == [1.0, 0.0, 0.0, 0.0] * 2  # type: ignore[index]

    def test_a_failure_halts_where_that_is_asked_for(
        self, make_beliefs: Make, labelled: Callable[[int], list[Record]]
    ) -> None:
        """As any other of the user's code."""
        task = make_task(make_beliefs(self.fails, on_error="stop"))
        with pytest.raises(ValueError, match="who was careful"):
            folded(task, labelled(8))


class TestAnotherLoss:
    @staticmethod
    def blocks(pipeline: Pipeline, metric: Any) -> EventBlocks:
        return EventBlocks(compared_by(pipeline, metric), "d", WaitingEvents(pipeline))

    @pytest.mark.parametrize(
        ("metric", "bound"), [("squared_error", None), (lambda *_: 0.5, 1.0), (None, 7.0)]
    )
    def test_it_begins_with_a_bound_of_its_own(
        self, metric: Any, bound: float | None, make_pipeline: Make
    ) -> None:
        """How large squares are is not known from errors; an empty block goes on."""
        models = {"mean": lambda: StatisticRegressor(Mean())}
        before = self.blocks(make_pipeline("regression", models=models), None)
        assert before._queue.filling()[0] == 0
        before._queue.changing_progress()["scale"] = 1.4
        before.store["0"]["loss_bound"] = 7.0
        after = self.blocks(make_pipeline("regression", models=models), metric)
        after.inherit(before)
        assert after.store["0"]["loss_bound"] == bound
        assert after.store["0"]["terms"]["metric"] == after._loss.name
        assert after._queue.changing_progress()["scale"] == (1.4 if metric is None else None)

    def test_a_block_of_before_says_nothing_of_its_size(self, make_pipeline: Make) -> None:
        """Its losses are of another kind."""
        blocks = self.blocks(make_pipeline("regression"), "squared_error")
        number, block = blocks._queue.filling()
        lost = {"rival": "own", "events": 3, "missing": 1, "loss": 5.0}
        block["candidates"]["own"] = lost  # type: ignore[typeddict-item]
        published = Published(number, NOWHERE, labels=0, late_labels=0, failures=0)
        progress = blocks._queue.changing_progress()
        blocks._measure([published])
        assert progress["scale"] == 2.5
        progress["scale"] = None
        block["terms"] = {**block["terms"], "metric": "absolute_error"}
        blocks._measure([published])
        assert progress["scale"] is None

    def test_labels_of_events_of_before_count_for_nothing(
        self, make_pipeline: Make, make_vector: Make, make_label: Make
    ) -> None:
        """What was lost by them is measured by the loss of today, and their block is of another."""
        own, squares = (
            compared_by(make_pipeline("regression"), e) for e in (None, "squared_error")
        )
        before, task = make_task(own), make_task(squares, definition="d1")
        folded(before, [make_vector(f"e{n}", BEGIN_MS + n) for n in range(4)])
        task.inherit(before, Control(own).deploy(squares))
        made = folded(task, [make_label(f"e{n}", 1.0) for n in range(4)])
        made += folded(task, [make_vector(f"f{n}", BEGIN_MS + n, label=1.0) for n in range(100)])
        (block,) = blocks_of(made)
        assert (block["terms"]["metric"], block["number"]) == ("squared_error", 1)
