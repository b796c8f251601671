"""What a deploy is compared with: all definitions that were in force."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from millrace.models.features import derived, fields
from millrace.models.identity.definition import describe
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import CommandError
from millrace.streams.control.in_force import InForce
from tests.unit.streams.control.test_set import deployed, set_to

Make = Callable[..., Pipeline]
FIRST = InForce(models=("own",), champion="own")


def saved(in_force: InForce) -> InForce:
    """Return what another worker reads of it."""
    return InForce(**asdict(in_force))


def test_a_feature_keeps_its_meaning_for_ever(make_pipeline: Make) -> None:
    """Also where it was removed in between, and whatever was set."""
    with_sum, with_other, without = (
        make_pipeline(features=[fields("a"), *each])
        for each in (
            [derived("sum", lambda event: event["a"] + event["b"])],
            [derived("sum", lambda event: event["a"] - event["b"])],
            [],
        )
    )
    in_force = deployed(FIRST, with_sum, "one")
    in_force = saved(deployed(saved(in_force), without, "two"))
    in_force = saved(set_to(in_force, "drift.policy=reset"))
    with pytest.raises(CommandError, match=r"features\['sum'\] must mean what it did"):
        deployed(in_force, with_other, "three")
    assert deployed(in_force, with_sum, "three").definition == "three"


def test_events_of_each_schema_must_be_read(make_pipeline: Make, avro: Callable[..., Any]) -> None:
    """Those of the first definition may still be on the topics."""
    plain = {"id": "string", "a": "double", "b": "double", "y": ["null", "boolean"]}
    text, none, number = (
        make_pipeline(schema=avro(**plain, **each), features=[fields("a")])
        for each in ({"more": ("string", "")}, {}, {"more": ("int", 0)})
    )
    in_force = saved(deployed(deployed(FIRST, text, "one"), none, "two"))
    with pytest.raises(CommandError, match="'more': string cannot be read as int"):
        deployed(in_force, number, "three")
    assert deployed(in_force, text, "three").definition == "three"


def test_what_is_remembered_is_small(make_pipeline: Make) -> None:
    """It grows with names and schemas, and not with the number of deploys."""
    in_force = FIRST
    pipelines = [make_pipeline(rolling_window=each) for each in range(10, 40)]
    sizes = []
    for number, each in enumerate(pipelines):
        in_force = deployed(in_force, each, f"d{number}")
        sizes.append(len(json.dumps(in_force.past)))
    assert {*sizes[1:]} == {sizes[1]}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "no JSON",
        lambda _: "[" * 100_000,
        lambda _: "[]",
        lambda given: json.dumps({"models": given["models"]}),
        lambda given: json.dumps(given | {"models": []}),
        lambda given: json.dumps(given | {"models": [{"name": "own"}]}),
        lambda given: json.dumps(given | {"features": None}),
        lambda given: json.dumps(given | {"drift": {"detectors": [1]}}),
    ],
    ids=["text", "deep", "a list", "models", "no models", "names", "no features", "detectors"],
)
def test_what_is_no_description_is_refused(
    spoil: Callable[[dict[str, Any]], str], make_pipeline: Make
) -> None:
    """Nothing could follow it, and nothing could be set in it."""
    arguments = {"definition": "one", "description": spoil(describe(make_pipeline()))}
    with pytest.raises(CommandError, match=r"description must be .*Use `millrace deploy`"):
        FIRST.deployed(arguments)
