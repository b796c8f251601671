"""Blocks say by groups how candidates compare, where the definition names groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from river import dummy, linear_model, stats

from millrace.models.pipeline.definition import Pipeline
from millrace.models.selection.promotion import Promotion
from millrace.schemas import DefinitionError
from millrace.schemas.records import Evaluation
from millrace.streams.operators.record import Record
from tests.unit.streams.operators.commanding import folded, make_task

Make = Callable[..., Any]
BEGIN_MS = 1_700_000_000_000


def mean() -> Any:
    return dummy.StatisticRegressor(stats.Mean())


@pytest.fixture
def grouped(make_pipeline: Make) -> Pipeline:
    """Give a pipeline that is compared by the feature `a`."""
    models = {"linear": linear_model.LinearRegression, "mean": mean}
    pipeline: Pipeline = make_pipeline("regression", models=models)
    return replace(pipeline, promotion=Promotion(group="a", policy="off"))


def events(make_vector: Make, make_rows: Make, count: int) -> list[Record]:
    """Return labelled events with three values of `a`, one of which is missing."""
    return [
        make_vector(
            f"e{n}",
            BEGIN_MS + n,
            label=y,
            features={**({"a": float(n % 3)} if n % 3 else {}), "b": x["b"]},
        )
        for n, (x, y) in enumerate(make_rows("regression", count))
    ]


def blocks_of(made: Iterable[Record]) -> list[Evaluation]:
    return [each.value for each in made if each.topic == "evaluations"]  # type: ignore[misc]


def test_groups_add_up(grouped: Pipeline, make_vector: Make, make_rows: Make) -> None:
    """To the differences of the block; only candidates are in them."""
    made = blocks_of(folded(make_task(grouped), events(make_vector, make_rows, 400)))
    assert made[0]["groups"] == {}  # whose losses are not bounded yet
    for block in made[1:]:
        assert {*block["groups"]} == {"none", "1.0", "2.0"}
        assert all({*each} == {"mean"} for each in block["groups"].values())
        of_groups = [each["mean"] for each in block["groups"].values()]
        whole = block["candidates"]["mean"]
        assert sum(each["events"] for each in of_groups) == whole["events"] == 100
        assert sum(e["difference"] for e in of_groups) == pytest.approx(whole["difference"])
        squares = sum(e["squared_difference"] for e in of_groups)
        assert squares == pytest.approx(whole["squared_difference"])


def test_slices_change_nothing(grouped: Pipeline, make_vector: Make, make_rows: Make) -> None:
    """To the last bit."""
    records = events(make_vector, make_rows, 350)
    at_once = blocks_of(folded(make_task(grouped), records))
    task = make_task(grouped)
    one_by_one = [each for record in records for each in blocks_of(folded(task, [record]))]
    assert at_once == one_by_one


def test_a_group_may_be_the_key(make_pipeline: Make, make_vector: Make) -> None:
    """With a model for each, for example."""
    models = {"one": linear_model.LogisticRegression, "two": linear_model.LogisticRegression}
    given = make_pipeline(models=models, key="id", scope="key")
    given = replace(given, promotion=Promotion(group="id", policy="off"))
    vectors = [
        make_vector(f"e{n}", BEGIN_MS + n, label=n % 2 == 0, key=f"u{n % 4}") for n in range(100)
    ]
    (block,) = blocks_of(folded(make_task(given), vectors))
    assert {name: each["two"]["events"] for name, each in block["groups"].items()} == {
        f"u{n}": 25 for n in range(4)
    }


def test_a_group_that_is_no_feature_is_refused(make_pipeline: Make) -> None:
    """With what was perhaps meant."""
    with pytest.raises(DefinitionError, match=r"promotion\.group must be a feature, or the key"):
        replace(make_pipeline(), promotion=Promotion(group="country"))
