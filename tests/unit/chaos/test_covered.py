"""The book of certainty agrees with what it should, and sees what is changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from tests.chaos.covered import CertaintyBook, set_of
from tests.chaos.findings import Findings

Topics = dict[str, list[dict[str, Any]]]


def prediction(number: int, share: float, threshold: float | None, **more: Any) -> dict[str, Any]:
    """Return one with the set and the reasons that it should have."""
    shares = {"true": share, "false": 1 - share}
    classes, why_none = set_of(shares, threshold)
    return {
        "event_id": f"e{number}",
        "event_time_ms": 1_000 * number,
        "definition": "d",
        "model": "m",
        "value": share > 0.5,
        "probabilities": shares,
        "certainty": {
            "coverage": 0.8,
            "threshold": threshold,
            "classes": classes,
            "why_none": why_none,
            "abstained": "",
        },
        "reasons": {
            "scale": "log_odds",
            "base": 0.25,
            "of": True,
            "contributions": {"amount": math.log(share / (1 - share)) - 0.5},
            "rest": 0.25,
            "why_none": "",
        },
    } | more


def block(number: int, events: list[int], **more: Any) -> dict[str, Any]:
    """Return a block of these events."""
    return {
        "partition": 0,
        "number": number,
        "definition": "d",
        "champion": "m",
        "events": len(events),
        "first_time_ms": 1_000 * min(events, default=0),
        "last_time_ms": 1_000 * max(events, default=0),
    } | more


@pytest.fixture
def topics() -> Topics:
    """Return what is on the topics: three blocks, the second of which has no label."""
    shares = [0.9, 0.6, 0.25, 0.9, 0.9, 0.9, 0.9]
    thresholds = [None, 0.5, 0.3, 0.3, 0.05, 0.8, 0.2]
    return {
        "predictions": [
            prediction(i, *of) for i, of in enumerate(zip(shares, thresholds, strict=True))
        ],
        "outcomes": [
            {"event_id": f"e{i}", "fate": "joined", "label": i != 2} for i in (0, 1, 2, 5, 6)
        ]
        + [{"event_id": "e3", "fate": "late", "label": True}],
        "evaluations": [
            block(-1, [], certainty=None),
            block(
                0,
                [0, 1, 2],
                certainty={"wanted": 0.8, "labels": 2, "covered": 2, "size": 2.0},
            ),
            block(
                2,
                [5, 6],
                certainty={"wanted": 0.8, "labels": 1, "covered": 1, "size": 1.0},
            ),
        ],
    }


def found(topics: Topics) -> Findings:
    findings = Findings()
    CertaintyBook(**topics).check(findings)
    return findings


def test_agrees(topics: Topics) -> None:
    """Also where a label came late, and where a block is not published."""
    findings = found(topics)
    assert findings.lines == []
    assert findings.counts == {
        "predictions with a set": 6,
        "predictions without a value, as the set says": 0,
        "predictions with reasons": 7,
        "blocks of which the coverage is known": 2,
        "blocks of which all labels came in time": 1,
    }


def changed(of: dict[str, Any], path: str, value: object) -> None:
    """Set a value in dictionaries of dictionaries."""
    *inner, last = path.split("/")
    for name in inner:
        of = of[name]
    of[last] = value


@pytest.mark.parametrize(
    ("topic", "number", "path", "value"),
    [
        ("predictions", 1, "certainty/threshold", 0.3),
        ("predictions", 1, "certainty/threshold", None),
        ("predictions", 1, "certainty/classes", {"true": 0.5}),
        ("predictions", 1, "certainty/classes", {"true": 0.6, "false": 0.4}),
        ("predictions", 1, "certainty/why_none", "no_label"),
        ("predictions", 1, "certainty/abstained", "several_classes"),
        ("predictions", 4, "certainty/abstained", "several_classes"),
        ("predictions", 4, "certainty/abstained", "no_class"),  # but it has a value
        ("predictions", 4, "value", None),
        ("predictions", 5, "certainty/coverage", 0.9),
        ("predictions", 4, "reasons/base", 0.25001),
        ("predictions", 4, "reasons/of", False),
        ("predictions", 4, "reasons/scale", "probability"),
        ("predictions", 4, "reasons/why_none", "other_model"),
        ("predictions", 5, "certainty", None),
        ("predictions", 5, "definition", "other"),
        ("predictions", 5, "event_time_ms", 0),
        ("outcomes", 1, "label", False),
        ("outcomes", 1, "fate", "late"),
        ("evaluations", 1, "certainty", None),
        ("evaluations", 1, "certainty/wanted", 0.9),
        ("evaluations", 1, "certainty/labels", 3),
        ("evaluations", 1, "certainty/covered", 1),
        ("evaluations", 1, "certainty/size", 3.0),
        ("evaluations", 1, "events", 4),
        ("evaluations", 1, "champion", "other"),
        ("evaluations", 2, "certainty/labels", 3),
        ("evaluations", 2, "certainty/covered", 0),
    ],
)
def test_sees_what_is_changed(
    topics: Topics, topic: str, number: int, path: str, value: object
) -> None:
    """In a prediction, a label or a block."""
    changed(topics[topic][number], path, value)
    assert found(topics).total > 0


@pytest.mark.parametrize(
    ("share", "threshold", "why"), [(0.9, 0.05, "no_class"), (0.5, 0.5, "several_classes")]
)
def test_knows_when_nothing_is_said(share: float, threshold: float, why: str) -> None:
    """Where the set has no class or several, and the prediction has no value."""
    none = prediction(0, share, threshold, value=None)
    none["certainty"]["abstained"] = why
    assert found({"predictions": [none], "outcomes": [], "evaluations": []}).lines == []


def test_takes_what_has_neither(topics: Topics) -> None:
    """Where a pipeline asks for nothing, or a model has no probabilities."""
    plain = [prediction(0, 0.9, 0.5, certainty=None, reasons=None)]
    evaluations = [block(0, [0], certainty=None)]
    of = {"predictions": plain, "outcomes": topics["outcomes"], "evaluations": evaluations}
    assert found(of).lines == []
    silent = prediction(0, 0.9, 0.5, probabilities={}, value=None)
    silent["certainty"] |= {"classes": {}, "why_none": "no_probabilities"}
    nothing: Mapping[str, Any] = {"base": 0.0, "contributions": {}, "rest": 0.0}
    silent["reasons"] |= {**nothing, "scale": "", "of": None, "why_none": "other_model"}
    assert found({"predictions": [silent], "outcomes": [], "evaluations": []}).lines == []


def test_a_model_that_knows_one_class_has_reasons_for_the_other() -> None:
    """Its probability is what is left: nothing."""
    nothing: dict[str, Any] = {"base": 0.0, "contributions": {}, "rest": 0.0}
    of_one = prediction(0, 0.25, 0.5, probabilities={"false": 1.0}, value=False)
    of_one["reasons"] |= {**nothing, "scale": "probability", "of": True}
    of_one["certainty"] |= {"classes": {"false": 1.0}}
    assert found({"predictions": [of_one], "outcomes": [], "evaluations": []}).lines == []
