"""Detectors: those with a name, users' own, and what is refused."""

from __future__ import annotations

import pytest
from river import base, drift

from millrace.models.monitoring.detectors import DETECTORS, make_detector
from millrace.schemas import DefinitionError


def test_each_name_stands_for_a_detector_of_river():
    """With River's parameters; KSWIN has a seed, and raises fewer false alarms."""
    made = {name: make_detector(name) for name in DETECTORS}
    assert {name: type(each) for name, each in made.items()} == {
        "adwin": drift.ADWIN,
        "kswin": drift.KSWIN,
        "page_hinkley": drift.PageHinkley,
    }
    assert made["adwin"]._get_params() == drift.ADWIN()._get_params()
    assert made["page_hinkley"]._get_params() == drift.PageHinkley()._get_params()
    expected = drift.KSWIN(alpha=1e-4, seed=1)._get_params()
    assert made["kswin"]._get_params() == expected


@pytest.mark.parametrize("name", DETECTORS)
def test_each_detector_is_fresh(name):
    """Two of one name share nothing."""
    assert make_detector(name) is not make_detector(name)


class Own(base.DriftDetector):
    """Never fires, and has no seed."""

    def update(self, x):
        pass


def test_a_users_own_detector():
    """A class, or any callable that returns a detector; a seed may be 0."""
    assert type(make_detector(Own)) is Own
    assert make_detector(lambda: drift.KSWIN(seed=0)).seed == 0


@pytest.mark.parametrize(
    ("detector", "got"),
    [
        ("adwinn", "'adwinn'"),
        (3, "3"),
        (dict, "{}"),
        (lambda: "adwin", "'adwin'"),
        (drift.binary.DDM, "DDM"),
        (drift.ADWIN(), "ADWIN"),
    ],
)
@pytest.mark.parametrize("parameter", ["detector", "drift.loss"])
def test_what_is_no_detector_is_refused(detector, got, parameter):
    """The message has the parameter, the choices and what was given."""
    arguments = (detector,) if parameter == "detector" else (detector, parameter)
    with pytest.raises(DefinitionError) as caught:
        make_detector(*arguments)
    assert str(caught.value).startswith(
        f"{parameter} must be one of 'adwin', 'kswin', 'page_hinkley',"
        f" or a callable that returns a river.base.DriftDetector; got {got}"
    )


def test_a_detector_without_a_seed_is_refused():
    """A replay could not repeat what it draws; the message shows how to give one."""
    with pytest.raises(DefinitionError) as caught:
        make_detector(drift.KSWIN, "drift.inputs")
    assert str(caught.value) == (
        "drift.inputs must be a detector with a seed, for example lambda: drift.KSWIN(seed=1);"
        " got seed=None"
    )
