"""A pipeline in memory promotes what is better, and sends back what does worse."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
from river import linear_model
from river.base import Classifier

from millrace.models.features import fields
from millrace.models.pipeline.definition import Pipeline
from millrace.models.selection.promotion import Promotion
from millrace.streams.replay.in_memory import Result, run

Make = Callable[..., Any]
SCHEMA = {
    "type": "record",
    "name": "Point",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "key", "type": "string"},
        {"name": "x", "type": "double"},
        {"name": "y", "type": ["null", "boolean"], "default": None},
    ],
}


class Fixed(Classifier):  # type: ignore[misc]  # River has no types
    """A model that knows the answer, x > 0, and errs at a share of the events it may be asked.

    Parameters
    ----------
    share
        Of the events, before and from an event on.
    until
        How many examples it has learned from by then.
    raises
        Whether it raises instead, from then on.
    """

    def __init__(self, share: tuple[float, float], until: int = 0, raises: bool = False) -> None:
        self.share = share
        self.until = until
        self.raises = raises
        self.learned = 0

    def learn_one(self, x: dict[str, Any], y: bool) -> None:
        self.learned += 1

    def predict_one(self, x: dict[str, Any]) -> bool:
        is_later = self.learned >= self.until
        if is_later and self.raises:
            raise ValueError("a fault of the model")
        is_wrong = hash(round(x["x"], 9)) % 1_000 < 1_000 * self.share[is_later]
        return bool(x["x"] > 0) is not is_wrong


def rows(count: int) -> list[dict[str, Any]]:
    rng = random.Random(7)
    values = [rng.gauss(0, 1) for _ in range(count)]
    return [
        {"id": str(i), "key": str(i % 50), "x": each, "y": each > 0}
        for i, each in enumerate(values)
    ]


def pipeline(**changes: Any) -> Pipeline:
    given: dict[str, Any] = {
        "name": "points",
        "schema": SCHEMA,
        "event_id": "id",
        "label": "y",
        "task": "binary",
        "features": [fields("x")],
        "models": {
            "worse": lambda: Fixed((0.25, 0.25)),
            "better": lambda: Fixed((0.10, 0.10)),
        },
        "promotion": Promotion(),
    }
    return Pipeline(**(given | changes))


def served(result: Result) -> list[str]:
    """Return who served, one after the other."""
    return [name for name, _ in groupby(each["model"] for each in result.predictions)]


@pytest.mark.parametrize("delay", [0, 700])
def test_what_is_better_serves(delay: int) -> None:
    """The command is in the log, at its place: all predictions after it are by the new one."""
    result = run(pipeline(), rows(6_000), label_delay=delay)
    assert served(result) == ["worse", "better"]
    (alert,) = [each for each in result.alerts if each["action"] == "promote"]
    assert alert["mean_before"] - alert["mean_after"] == pytest.approx(0.15, abs=0.03)
    accepted, promoted = result.audit
    assert (accepted["action"], accepted["who"]) == ("accepted", "rule:promotion")
    assert (promoted["action"], promoted["before"], promoted["after"]) == (
        *("promoted", "worse"),
        "better",
    )
    assert {each["champion"] for each in result.evaluations} == {"worse", "better"}
    alone, loss = result.served["candidates"], result.served["loss"]
    assert loss is not None
    assert alone["better"] == pytest.approx(0.10, abs=0.02)
    assert alone["better"] < loss < alone["worse"]
    assert [each["name"] for each in result.served["champions"]] == ["worse", "better"]


def test_without_promotion_the_first_model_serves() -> None:
    """The evidence is there all the same."""
    result = run(pipeline(promotion=None), rows(6_000))
    assert served(result) == ["worse"]
    assert result.audit == []
    assert {each["terms"]["policy"] for each in result.evaluations} == {"off"}


def test_one_champion_serves_all_partitions() -> None:
    """What all of them have shown counts; each switches at its own place in the log."""
    given = pipeline(scope="partition", key="key")
    result = run(given, rows(9_000), partitions=3)
    promoted = [each for each in result.audit if each["action"] == "promoted"]
    assert sorted(each["partition"] for each in promoted) == [0, 1, 2]
    assert {each["champion"] for each in result.evaluations[-6:]} == {"better"}


def test_keys_have_one_champion() -> None:
    """With a model for each key."""
    result = run(pipeline(scope="key", key="key"), rows(6_000))
    assert served(result) == ["worse", "better"]


def test_what_does_worse_later_is_sent_back() -> None:
    """The champion before has gone on learning, and serves again."""
    models = {
        "steady": lambda: Fixed((0.20, 0.20)),
        "fickle": lambda: Fixed((0.05, 0.40), until=3_000),
    }
    result = run(pipeline(models=models), rows(9_000))
    assert served(result) == ["steady", "fickle", "steady"]
    actions = [each["action"] for each in result.audit]
    assert actions == ["accepted", "promoted", "accepted", "rolled_back"]


def test_what_raises_is_sent_back_at_once() -> None:
    """It costs the events for which it raised before the rollback is in the log."""
    models = {
        "steady": lambda: Fixed((0.25, 0.25)),
        "broken": lambda: Fixed((0.05, 0.05), until=2_000, raises=True),
    }
    given = pipeline(models=models, on_invalid_prediction="alert")
    result = run(given, rows(6_000))
    assert served(result) == ["steady", "broken", "steady"]
    (failed,) = [each for each in result.evaluations if not each["events"]]
    assert (failed["champion"], failed["failures"], failed["candidates"]) == ("broken", 1, {})
    assert {each["reason"] for each in result.rejects} == {"predict_error"}
    assert len(result.rejects) < 200  # a slice of records
    assert "failure" in {each["detector"] for each in result.alerts}


class Forgetful(Fixed):
    """One that raises when it learns, from an example on."""

    def learn_one(self, x: dict[str, Any], y: bool) -> None:
        super().learn_one(x, y)
        if self.learned > self.until and self.raises:
            raise ValueError("a fault of the model")

    def predict_one(self, x: dict[str, Any]) -> bool:
        is_wrong = hash(round(x["x"], 9)) % 1_000 < 1_000 * self.share[0]
        return bool(x["x"] > 0) is not is_wrong


@pytest.mark.parametrize("scope", ["global", "key"])
@pytest.mark.parametrize("delay", [0, 150])
def test_what_cannot_learn_is_sent_back_at_once(delay: int, scope: str) -> None:
    """Though it predicts well; the first example is told of in `evaluations`, others are not."""
    models = {
        "steady": lambda: Fixed((0.25, 0.25)),
        "broken": lambda: Forgetful(
            (0.05, 0.05), until=40 if scope == "key" else 2_000, raises=True
        ),
    }
    given = pipeline(models=models, scope=scope, key="key", on_invalid_prediction="alert")
    result = run(given, rows(6_000), label_delay=delay)
    assert served(result) == ["steady", "broken", "steady"]
    (told,) = [each for each in result.evaluations if not each["events"]]
    assert (told["champion"], told["failures"], told["command"] > 0) == ("broken", 1, True)
    assert {each["reason"] for each in result.rejects} == {"learn_error"}
    (alert,) = [each for each in result.alerts if each["action"] == "rollback"]
    assert alert["detector"] == "failure"
    assert "broken failed at an event, and others did not" in alert["detail"]


def test_what_nobody_can_learn_is_nobodys_fault() -> None:
    """An example at which all candidates raise sends none back."""
    models = {
        "steady": lambda: Forgetful((0.25, 0.25), until=2_000, raises=True),
        "other": lambda: Forgetful((0.05, 0.05), until=2_000, raises=True),
    }
    result = run(pipeline(models=models, on_invalid_prediction="alert"), rows(6_000))
    assert served(result) == ["steady", "other"]
    assert all(each["events"] for each in result.evaluations)


def test_models_that_are_equal_do_not_take_turns() -> None:
    """Each errs at other events, as often."""
    models = {
        name: lambda seed=seed: linear_model.LogisticRegression(l2=seed / 1e9)
        for seed, name in enumerate(["one", "two", "three"])
    }
    assert served(run(pipeline(models=models), rows(6_000))) == ["one"]


def test_a_proposal_waits_for_somebody() -> None:
    """Nothing serves by itself."""
    result = run(pipeline(promotion=Promotion(policy="propose")), rows(6_000))
    assert served(result) == ["worse"]
    assert [each["action"] for each in result.alerts] == ["propose"]
