"""The definition: what it takes, and what it says of what it does not."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from millrace.models.certainty.conformal import Conformal, Method
from millrace.models.certainty.pi import ProportionalIntegral
from millrace.models.certainty.sf_ogd import ScaleFreeDescent
from millrace.schemas import DefinitionError


def test_the_default_is_nine_of_ten_by_sf_ogd() -> None:
    """And every prediction is published with a value."""
    assert Conformal() == Conformal(coverage=0.9, method=Method.SF_OGD, abstain=False)


def test_it_does_not_change() -> None:
    """As all definitions."""
    with pytest.raises(FrozenInstanceError):
        Conformal().coverage = 0.8  # type: ignore[misc]


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.999])
def test_coverage_is_a_share(coverage: float) -> None:
    """From 0.5 to 0.999, both included."""
    assert Conformal(coverage=coverage).coverage == coverage


def test_coverage_is_a_plain_float() -> None:
    """Whatever it was computed with: thresholds are made of it, and are saved."""
    assert type(Conformal(coverage=np.float64(0.8)).coverage) is float


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"coverage": 0.49},
            "certainty.coverage must be a number from 0.5 to 0.999; got 0.49",
        ),
        ({"coverage": 1.0}, "certainty.coverage must be a number from 0.5 to 0.999; got 1.0"),
        ({"coverage": 90}, "certainty.coverage must be a number from 0.5 to 0.999; got 90"),
        ({"coverage": True}, "certainty.coverage must be a number from 0.5 to 0.999; got True"),
        ({"coverage": "0.9"}, "certainty.coverage must be a number from 0.5 to 0.999; got '0.9'"),
        (
            {"coverage": float("nan")},
            "certainty.coverage must be a number from 0.5 to 0.999; got nan",
        ),
        (
            {"method": "sfogd"},
            "certainty.method must be one of 'sf_ogd', 'pi'; got 'sfogd'. Did you mean 'sf_ogd'?",
        ),
        ({"abstain": 1}, "certainty.abstain must be True or False; got 1"),
        ({"covrage": 0.9}, "Conformal() has no parameter 'covrage'. Did you mean 'coverage'?"),
    ],
)
def test_an_error_names_the_parameter(parameters: dict[str, Any], message: str) -> None:
    """What it must be, and what it was."""
    with pytest.raises(DefinitionError) as caught:
        Conformal(**parameters)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("method", "kind"), [("sf_ogd", ScaleFreeDescent), ("pi", ProportionalIntegral)]
)
def test_a_threshold_is_of_the_method(method: str, kind: type) -> None:
    """A fresh one, which knows nothing."""
    threshold = Conformal(method=method).threshold()
    assert threshold == kind()


def test_another_method_goes_on_from_where_the_first_was() -> None:
    """What is saved of the one is read by the other."""
    state = Conformal().threshold()
    state.learn([1.0, 2.0, 0.5], [None, 1.0, 1.0], coverage=0.9)
    by_pi = Conformal(method="pi").threshold(state.to_fields())
    assert by_pi == ProportionalIntegral(state.threshold, state.squares, state.scale, 0.0)
    assert Conformal().threshold(by_pi.to_fields()) == state
