"""What is set in a definition is seen in its description, without the author's code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from river import drift

from millrace.models.identity.changes import changes
from millrace.models.identity.definition import describe
from millrace.models.identity.reference import Reference
from millrace.models.identity.setting import described_with, is_same_with
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.settings import with_settings
from tests.unit.models.identity.conftest import Make

DETECTOR = st.sampled_from(["adwin", "kswin", "page_hinkley", "none"])
SETTINGS: dict[str, st.SearchStrategy[str]] = {
    "drift.policy": st.sampled_from(["alert", "reset", "replace"]),
    "drift.cooldown": st.sampled_from(["0", "1000", "5"]),
    "drift.replacement_after": st.sampled_from(["500", "1"]),
    **dict.fromkeys(["drift.loss", "drift.predictions", "drift.inputs"], DETECTOR),
    **dict.fromkeys(["drift.inputs.age", "drift.inputs.hour"], DETECTOR),
}


def own_detector() -> drift.PageHinkley:
    return drift.PageHinkley(min_instances=10)


@pytest.mark.parametrize(
    "inputs",
    ["adwin", None, own_detector, {"hour": "kswin", "age": own_detector}, {}],
    ids=["one", "none", "own", "some", "empty"],
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.fixed_dictionaries({}, optional=SETTINGS))
def test_it_is_as_the_definition_describes_itself(
    inputs: Any, chosen: dict[str, str], visits: Make
) -> None:
    """Whatever is set, and whatever the file has."""
    pipeline = visits(drift=DriftSettings(inputs=inputs, loss=own_detector))
    described = json.loads(json.dumps(describe(pipeline)))
    found, expected = described_with(described, chosen), describe(with_settings(pipeline, chosen))
    assert changes(found, expected).is_empty
    detectors = (
        {each["name"]: each for each in d["drift"]["detectors"]} for d in (found, expected)
    )
    one, other = detectors
    assert one == other
    assert is_same_with(described, {}, chosen) == changes(described, expected).is_empty


def test_what_is_as_it_was_is_no_change(visits: Make) -> None:
    """One detector for all inputs, and that one for each, are the same."""
    described = describe(visits())
    assert is_same_with(described, {}, {"drift.inputs.age": "adwin"})
    assert not is_same_with(described, {}, {"drift.inputs.age": "kswin"})
    found = changes(described, described_with(described, {"drift.inputs.age": "kswin"}))
    assert (found.added, found.removed, found.changed) == ((), (), ("drift.inputs['age']",))


@settings(max_examples=50)
@given(chosen=st.dictionaries(st.text(min_size=1), st.text(min_size=1)), digest=st.text("0123abc"))
def test_a_reference_is_read_as_it_was_written(chosen: dict[str, str], digest: str) -> None:
    """It has one form, without spaces, whatever the names of features are."""
    reference = Reference(digest, chosen)
    text = str(reference)
    assert Reference.of(text) == reference
    assert text == str(Reference(digest, dict(reversed(chosen.items()))))
    assert len(text.split()) <= 1
