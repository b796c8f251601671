"""Drift settings: what is watched, and what is wrong refused by name."""

from __future__ import annotations

import pytest
from river import drift

from millrace.models.monitoring.drift import DriftPolicy, DriftSettings
from millrace.schemas import DefinitionError


def test_by_default_everything_is_watched_and_only_reported():
    """ADWIN on the loss, the inputs and the predictions."""
    settings = DriftSettings()
    assert (settings.loss, settings.inputs, settings.predictions) == ("adwin",) * 3
    assert settings.policy is DriftPolicy.ALERT
    assert (settings.cooldown, settings.replacement_after) == (1_000, 500)


def test_each_detector_can_be_switched_off():
    """By None."""
    settings = DriftSettings(loss=None, inputs=None, predictions=None)
    assert (settings.loss, settings.inputs, settings.predictions) == (None,) * 3


def test_every_kind_of_detector_is_accepted():
    """A name, a class, a callable, and a mapping of feature to these."""
    settings = DriftSettings(
        loss=drift.PageHinkley,
        inputs={"price": "kswin", "demand": lambda: drift.KSWIN(seed=3)},
        policy="replace",
    )
    assert settings.policy is DriftPolicy.REPLACE


@pytest.mark.parametrize("policy", DriftPolicy)
def test_a_policy_is_named_by_its_value(policy):
    """Text becomes the policy."""
    assert DriftSettings(policy=policy.value).policy is policy


def test_the_smallest_numbers_are_accepted():
    """No cooldown, and a trial of one example."""
    settings = DriftSettings(cooldown=0, replacement_after=1)
    assert (settings.cooldown, settings.replacement_after) == (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "adwinn"}, "drift.loss must be one of 'adwin', 'kswin'.*got 'adwinn'"),
        ({"inputs": {"price": 3}}, r"drift.inputs\['price'\] must be.*got 3"),
        ({"inputs": "x"}, "drift.inputs must be one of .*got 'x'"),
        ({"predictions": drift.ADWIN()}, "drift.predictions must be.*got ADWIN"),
        ({"policy": "retrain"}, "drift.policy must be one of 'alert', 'reset', 'replace'; got 'r"),
        ({"cooldown": -1}, "drift.cooldown must be a whole number of 0 or more; got -1"),
        ({"cooldown": 1.5}, "drift.cooldown must be a whole number of 0 or more; got 1.5"),
        ({"cooldown": False}, "drift.cooldown must be a whole number of 0 or more; got False"),
        ({"replacement_after": 0}, "drift.replacement_after must be .* 1 or more; got 0"),
        ({"replacement_after": True}, "drift.replacement_after must be .* 1 or more; got True"),
    ],
)
def test_what_is_wrong_is_refused_by_name(options, message):
    """The message names the parameter, what it must be and what was given."""
    with pytest.raises(DefinitionError, match=message):
        DriftSettings(**options)
