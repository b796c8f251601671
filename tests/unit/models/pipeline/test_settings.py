"""Settings of a definition that may be set while it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from river.drift import PageHinkley

from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.settings import canonical, text_of, with_settings
from millrace.models.pipelines.loans import pipeline
from millrace.schemas import DefinitionError


def own_detector() -> PageHinkley:
    return PageHinkley(min_instances=10)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("drift.policy", "replace", "replace"),
        ("drift.cooldown", "0", "0"),
        ("drift.cooldown", "007", "7"),
        ("drift.replacement_after", "250", "250"),
        ("drift.loss", "page_hinkley", "page_hinkley"),
        ("drift.inputs", "kswin", "kswin"),
        ("drift.predictions", "none", "none"),
        ("drift.inputs.age", "none", "none"),
    ],
)
def test_a_setting_has_one_form(name: str, value: str, expected: str) -> None:
    """However it is written, it is the same; and the definition has it, with the rest unchanged."""
    assert canonical(name, value) == expected
    found = with_settings(pipeline, {name: value})
    assert text_of(found, name) == expected
    others = {"drift.policy", "drift.cooldown", "drift.loss", "drift.inputs.loan"} - {name}
    if not name.startswith("drift.inputs"):
        assert {each: text_of(found, each) for each in others} == {
            each: text_of(pipeline, each) for each in others
        }
    assert found.models == pipeline.models


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("drift.polcy", "reset", r"one of drift\.policy, drift\.cooldown, .*Did you mean"),
        ("policy", "reset", r"name must be one of drift\.policy"),
        ("models", "x", "name must be one of"),
        ("drift.policy.x", "reset", "name must be one of"),
        ("drift.policy", "retrain", "drift.policy must be one of 'alert', 'reset', 'replace'"),
        ("drift.policy", "none", "must be one of 'alert'"),
        ("drift.cooldown", "-1", "whole number of 0 or more; got '-1'"),
        ("drift.cooldown", "1.5", "whole number of 0 or more; got '1.5'"),
        ("drift.cooldown", "9" * 10, "must be 1,000,000,000 or less"),
        ("drift.cooldown", "9" * 5_000, "whole number"),
        ("drift.cooldown", "many", "whole number"),
        ("drift.replacement_after", "0", "whole number of 1 or more; got 0"),
        ("drift.loss", "adwn", "one of 'adwin', 'kswin', 'page_hinkley', 'none'.*mean 'adwin'"),
        ("drift.inputs.age", "x", "drift.inputs.age must be one of 'adwin'"),
        ("drift.inputs", "None", "one of 'adwin'"),
    ],
)
def test_what_it_may_not_be(name: str, value: str, says: str) -> None:
    """The error lists what there is."""
    with pytest.raises(DefinitionError, match=says):
        canonical(name, value)


@pytest.mark.parametrize("feature", ["nothing", "", "age.x"])
def test_a_feature_is_one_of_the_definition(feature: str) -> None:
    """The error lists them."""
    with pytest.raises(DefinitionError, match=r"must be of the features \['salary', 'commission'"):
        with_settings(pipeline, {f"drift.inputs.{feature}": "adwin"})


@pytest.mark.parametrize(
    ("inputs", "settings", "expected"),
    [
        ("adwin", {"age": "kswin"}, {"age": "kswin", "loan": "adwin"}),
        ("adwin", {"age": "none"}, {"loan": "adwin"}),
        (None, {"age": "kswin"}, {"age": "kswin"}),
        ({"loan": "kswin"}, {"age": "adwin"}, {"loan": "kswin", "age": "adwin"}),
        ({"loan": "kswin"}, {"loan": "none"}, {}),
        (own_detector, {"age": "kswin"}, {"age": "kswin", "loan": own_detector}),
    ],
)
def test_one_input_may_have_a_detector_of_its_own(
    inputs: Any, settings: dict[str, str], expected: dict[str, Any]
) -> None:
    """The others keep theirs."""
    before = replace(pipeline, drift=DriftSettings(inputs=inputs))
    given = {f"drift.inputs.{feature}": value for feature, value in settings.items()}
    found = with_settings(before, given).drift
    for feature in ("age", "loan"):
        assert found.detector_of(f"input:{feature}") == expected.get(feature)


def test_a_detector_of_ones_own_has_a_name() -> None:
    """The same in every process."""
    drift = DriftSettings(loss=own_detector, inputs={"age": own_detector})
    own = replace(pipeline, drift=drift)
    assert text_of(own, "drift.loss") == "own_detector"
    assert text_of(own, "drift.inputs") == "age: own_detector"
    assert text_of(own, "drift.inputs.loan") == "none"
