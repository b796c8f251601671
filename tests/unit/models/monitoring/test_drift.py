"""Drift settings: what is watched, and what is wrong refused by name."""

import pytest
from river import drift

from millrace.models.monitoring.detectors import make_detector
from millrace.models.monitoring.drift import DriftPolicy, DriftSettings
from millrace.schemas import DefinitionError


class TestSettings:
    def test_defaults_watch_everything_and_only_alert(self):
        """ADWIN on the loss, the inputs and the predictions."""
        settings = DriftSettings()
        assert (settings.loss, settings.inputs, settings.predictions) == ("adwin",) * 3
        assert settings.policy is DriftPolicy.ALERT

    def test_nothing_need_be_watched(self):
        """None switches a detector off."""
        assert DriftSettings(loss=None, inputs=None, predictions=None).loss is None

    def test_every_kind_of_detector_is_accepted(self):
        """A name, a class, a callable, and a mapping of feature to these."""
        settings = DriftSettings(
            loss=drift.PageHinkley,
            inputs={"price": "kswin", "demand": lambda: drift.KSWIN(seed=3)},
            policy="replace",
        )
        assert settings.policy is DriftPolicy.REPLACE

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"loss": "adwinn"}, "drift.loss must be one of 'adwin', 'kswin'.*got 'adwinn'"),
            ({"inputs": {"price": 3}}, r"drift.inputs\['price'\] must be.*got 3"),
            ({"predictions": drift.ADWIN()}, "drift.predictions must be.*got ADWIN"),
            ({"loss": dict}, r"a callable that returns a river.base.DriftDetector; got \{\}"),
            ({"inputs": drift.KSWIN}, r"drift.inputs must be .* seed.*drift.KSWIN\(seed=1\)"),
            ({"policy": "retrain"}, "drift.policy must be one of 'alert', 'reset', 'replace'"),
            ({"cooldown": -1}, "drift.cooldown must be a whole number of 0 or more; got -1"),
            ({"cooldown": 1.5}, "drift.cooldown"),
            ({"replacement_after": 0}, "drift.replacement_after .* 1 or more; got 0"),
            ({"replacement_after": True}, "drift.replacement_after"),
        ],
    )
    def test_what_is_wrong_is_refused_by_name(self, options, message):
        """The message names the parameter and the choices."""
        with pytest.raises(DefinitionError, match=message):
            DriftSettings(**options)

    @pytest.mark.parametrize("name", ["adwin", "kswin", "page_hinkley"])
    def test_each_detector_is_fresh(self, name):
        """Two of one name share nothing."""
        assert make_detector(name) is not make_detector(name)
