"""What goes on, begins anew or is refused when a definition changes: each rule, both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields as fields_of
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from river import linear_model, metrics, naive_bayes, tree

from millrace.models.certainty.conformal import Conformal
from millrace.models.features import calendar, derived, fields, rolling
from millrace.models.identity.changes import changes
from millrace.models.identity.definition import describe
from millrace.models.identity.summary import Changes
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.fate import Fate
from millrace.models.pipeline.label_conflicts import LabelConflicts
from millrace.models.pipeline.label_default import LabelDefault
from millrace.models.pipeline.on_change import Candidate
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.models.selection.promotion import Promotion
from millrace.schemas import DefinitionError, EventSchema
from tests.unit.models.identity.conftest import SCHEMA, Make, bayes, per_year

LINEAR = linear_model.LogisticRegression


def compared(before: Pipeline, now: Pipeline, champion: str | None = None) -> Changes:
    """Compare what is left of two pipelines after a journey as JSON."""
    given = (json.loads(json.dumps(describe(each), sort_keys=True)) for each in (before, now))
    return changes(*given, champion)


def other_bayes() -> naive_bayes.GaussianNB:
    return naive_bayes.GaussianNB()


def forest() -> tree.HoeffdingTreeClassifier:
    return tree.HoeffdingTreeClassifier()


def by_closure(rate: float) -> Callable[[], Any]:
    return lambda: LINEAR(l2=rate)


def per_month(event: dict[str, Any]) -> float:
    return float(event["price"] / event["age"] / 12)


def test_nothing_changes(visits: Make) -> None:
    """The same definition is no change, though it is made again."""
    found = compared(visits(), visits())
    assert found.is_empty
    assert str(found) == "visits: nothing changes"
    assert (found.added, found.removed, found.changed, found.refused) == ((), (), (), ())
    assert {*found.candidates.values()} == {Fate.GOES_ON}
    assert "models['linear']" in found.kept
    assert "drift.loss" in found.kept


class TestCandidates:
    def test_one_more_begins_beside_the_champion(self, visits: Make) -> None:
        """It begins; the others go on. Taken away again, it is retired."""
        more = visits(models={"linear": LINEAR, "bayes": bayes, "tree": forest})
        found = compared(visits(), more)
        assert found.candidates == {
            "linear": Fate.GOES_ON,
            "bayes": Fate.GOES_ON,
            "tree": Fate.BEGINS,
        }
        assert found.added == ("models['tree']",)
        assert "models['tree'] begins, untrained, beside the champion" in str(found)
        back = compared(more, visits())
        assert back.candidates["tree"] is Fate.RETIRED
        assert back.removed == ("models['tree']",)
        assert not found.refused + back.refused

    @pytest.mark.parametrize(
        ("on_change", "fate"),
        [
            ("challenge", Fate.CHALLENGES),
            ("replace", Fate.REPLACES),
            ("adopt", Fate.ADOPTS),
        ],
    )
    def test_another_one_does_what_it_asks_for(
        self, visits: Make, on_change: str, fate: Fate
    ) -> None:
        """Of a candidate with other parameters, the new `on_change` decides, the champion's too."""
        changed = Candidate(by_closure(0.5), on_change=on_change)
        found = compared(visits(), visits(models={"linear": changed, "bayes": bayes}))
        assert found.candidates == {"linear": fate, "bayes": Fate.GOES_ON}
        assert found.changed == ("models['linear']",)
        assert not found.refused
        back = compared(visits(models={"linear": changed, "bayes": bayes}), visits())
        assert back.candidates["linear"] is Fate.CHALLENGES  # as a plain factory is

    def test_on_change_alone_changes_nothing(self, visits: Make) -> None:
        """It says what a deploy does, and is no part of what a candidate is."""
        wrapped = Candidate(LINEAR, on_change="replace")
        assert compared(visits(), visits(models={"linear": wrapped, "bayes": bayes})).is_empty
        assert compared(visits(models={"linear": wrapped, "bayes": bayes}), visits()).is_empty

    def test_one_that_adopts_from_now_on_sees_what_others_do(self, visits: Make) -> None:
        """Features may have been added before, by a deploy that it was not to adopt."""
        adopting = visits(models={"linear": Candidate(LINEAR, on_change="adopt"), "bayes": bayes})
        found = compared(visits(), adopting)
        assert found.candidates == {"linear": Fate.ADOPTS, "bayes": Fate.GOES_ON}
        assert compared(adopting, adopting).is_empty

    def test_a_version_wins_over_the_code(self, visits: Make) -> None:
        """Of two versions, the versions are compared; of one and none, the code."""

        def of(rate: float, version: str | None) -> Pipeline:
            return visits(models={"linear": Candidate(by_closure(rate), version=version)})

        one = of(0.1, "1")
        assert compared(one, of(0.2, "1")).is_empty
        assert compared(one, of(0.1, "2")).candidates["linear"] is Fate.CHALLENGES
        assert compared(of(0.1, None), one).is_empty
        assert compared(one, of(0.1, None)).is_empty
        assert compared(of(0.2, None), one).candidates["linear"] is Fate.CHALLENGES

    def test_the_champion_cannot_be_taken_away(self, visits: Make) -> None:
        """Another is promoted first; which one serves is not what `models` begins with."""
        without = visits(models={"bayes": bayes})
        (reason,) = compared(visits(), without).refused
        assert reason.startswith(
            "models must keep 'linear', the champion that serves; got ['bayes']"
        )
        assert "Promote another first" in reason
        found = compared(visits(), without, champion="bayes")
        assert found.refused == ()
        assert found.candidates == {"bayes": Fate.GOES_ON, "linear": Fate.RETIRED}
        other_way = compared(visits(), visits(models={"linear": LINEAR}), champion="bayes")
        assert len(other_way.refused) == 1

    def test_an_unknown_champion_is_an_error(self, visits: Make) -> None:
        """The champion that serves is one of the candidates in force."""
        with pytest.raises(DefinitionError, match="champion must be one of the models in force"):
            compared(visits(), visits(), champion="linaer")

    def test_another_order_changes_no_champion(self, visits: Make) -> None:
        """The champion stays, and the summary says how another would be promoted."""
        turned = visits(models={"bayes": bayes, "linear": LINEAR})
        found = compared(visits(), turned)
        assert {*found.candidates.values()} == {Fate.GOES_ON}
        assert found.champion == "linear"
        assert "the champion is still 'linear', though models begin with 'bayes'" in str(found)
        assert compared(visits(), turned, champion="bayes").is_empty
        assert compared(visits(), visits(), champion="bayes").is_empty

    def test_another_name_begins_anew(self, visits: Make) -> None:
        """What is learned is kept by name: the summary says so."""
        found = compared(visits(), visits(models={"linear": LINEAR, "naive": other_bayes}))
        assert found.candidates["naive"] is Fate.BEGINS
        assert found.candidates["bayes"] is Fate.RETIRED
        assert "begins untrained, though" not in str(found)  # its factory has another code
        renamed = str(compared(visits(), visits(models={"linear": LINEAR, "naive": bayes})))
        assert "models['naive'] begins untrained, though 'bayes' was the same" in renamed

    def test_code_that_cannot_be_seen_asks_for_a_version(self, visits: Make) -> None:
        """Nothing is taken for what it is not: without source, a version tells what changes."""
        space: dict[str, Any] = {"__name__": "nowhere", "GaussianNB": naive_bayes.GaussianNB}
        exec("def made():\n    return GaussianNB()\n", space)
        hidden = visits(models={"linear": LINEAR, "hidden": space["made"]})
        (reason,) = compared(hidden, hidden).refused
        assert reason.startswith("models['hidden'] must be something of which a change is seen")
        assert "Candidate(factory, version='1')" in reason
        assert not compared(visits(), hidden).refused  # it is new
        counted = visits(models={"linear": LINEAR, "hidden": Candidate(space["made"], version="1")})
        assert compared(hidden, counted).candidates["hidden"] is Fate.CHALLENGES
        assert compared(counted, counted).is_empty
        more = visits(models={"linear": LINEAR, "hidden": Candidate(space["made"], version="2")})
        assert not compared(counted, more).refused


class TestFeatures:
    def test_one_more_begins_and_is_not_seen_by_who_goes_on(self, visits: Make) -> None:
        """Candidates see what they began with; taken away again, they lose it."""
        more = visits(features=[*visits().features, fields("price")])
        found = compared(visits(), more)
        assert found.added == ("features['price']",)
        assert {*found.candidates.values()} == {Fate.GOES_ON}
        assert "models that go on do not see ['price']" in str(found)
        back = compared(more, visits())
        assert back.removed == ("features['price']",)
        assert "models that go on no longer see ['price']" in str(back)
        assert not found.refused + back.refused

    def test_who_adopts_sees_what_is_added(self, visits: Make) -> None:
        """An unchanged candidate with `adopt` goes on with a wider vector."""
        models = {"linear": Candidate(LINEAR, on_change="adopt"), "bayes": bayes}
        more = visits(features=[*visits().features, fields("price")], models=models)
        found = compared(visits(models=models), more)
        assert found.candidates == {"linear": Fate.ADOPTS, "bayes": Fate.GOES_ON}
        assert "models['linear']" in found.kept
        back = compared(more, visits(models=models))
        assert back.candidates["linear"] is Fate.GOES_ON

    @pytest.mark.parametrize(
        ("index", "other", "name"),
        [
            (0, derived("age", lambda event: event["age"] * 2), "age"),
            (1, derived("per_year", per_month), "per_year"),
            (2, calendar("hour", timezone="Asia/Tokyo"), "hour"),
            (
                3,
                rolling("price", "mean", window=timedelta(hours=1), max_events=9),
                "price_mean_1h",
            ),
        ],
        ids=["field", "function", "time zone", "window"],
    )
    def test_another_meaning_under_the_same_name_is_refused(
        self, visits: Make, index: int, other: Any, name: str
    ) -> None:
        """Models have learned it under this name: the changed one takes another."""
        features = [*visits().features]
        features[index] = other
        changed = visits(features=features)
        for one, two in ((visits(), changed), (changed, visits())):
            found = compared(one, two)
            (reason,) = found.refused
            assert reason.startswith(f"features[{name!r}] must mean what it did")
            assert reason.endswith("Give the changed one another name")
            assert found.changed == (f"features[{name!r}]",)

    def test_under_a_new_name_it_is_taken(self, visits: Make) -> None:
        """The way out of a refusal leads out."""
        features = [*visits().features]
        features[2] = calendar("hour", timezone="Asia/Tokyo", name="tokyo")
        found = compared(visits(), visits(features=features))
        assert not found.refused
        assert found.added == ("features['tokyo_hour']",)
        assert found.removed == ("features['hour']",)

    def test_code_that_cannot_be_seen_is_refused(self, visits: Make) -> None:
        """A function without source could mean anything."""
        hidden = visits(features=[derived("a", eval("lambda event: 1", {"__name__": "nowhere"}))])
        (reason,) = compared(hidden, hidden).refused
        assert reason.startswith("features['a'] must be something of which a change is seen")
        assert not compared(visits(), hidden).refused

    def test_another_order_is_said(self, visits: Make) -> None:
        """Order is no change of a part."""
        found = compared(visits(), visits(features=visits().features[::-1]))
        assert not found.refused + found.changed
        assert "features are in another order" in str(found)


class TestWhatBeginsAnewAlone:
    @pytest.mark.parametrize(
        ("before", "now", "added", "changed", "removed"),
        [
            (
                {"metrics": {"f": lambda: metrics.FBeta(beta=1.0)}},
                {"metrics": {"f": lambda: metrics.FBeta(beta=2.0)}},
                (),
                ("metrics['f']",),
                (),
            ),
            (
                {},  # the task's own are accuracy and f1
                {"metrics": {"accuracy": metrics.Accuracy, "log_loss": metrics.LogLoss}},
                ("metrics['log_loss']",),
                (),
                ("metrics['f1']",),
            ),
            ({}, {"rolling_window": 10}, (), ("rolling_window",), ()),
            ({}, {"drift": DriftSettings(loss="kswin")}, (), ("drift.loss",), ()),
            ({}, {"drift": DriftSettings(loss=None)}, (), (), ("drift.loss",)),
            (
                {},
                {"drift": DriftSettings(inputs={"age": "adwin"})},
                (),
                (),
                tuple(f"drift.inputs[{name!r}]" for name in ("per_year", "hour", "price_mean_1h")),
            ),
        ],
        ids=["metric", "metrics", "rolling window", "detector", "no detector", "of a feature"],
    )
    def test_the_rest_goes_on(
        self,
        visits: Make,
        before: dict[str, Any],
        now: dict[str, Any],
        added: tuple[str, ...],
        changed: tuple[str, ...],
        removed: tuple[str, ...],
    ) -> None:
        """Only the part that is other begins anew, ends or begins, in both directions."""
        old, new = visits(**before), visits(**now)
        found, back = compared(old, new), compared(new, old)
        assert (found.added, found.changed, found.removed) == (added, changed, removed)
        assert (back.added, back.changed, back.removed) == (removed, changed, added)
        assert {*found.candidates.values()} == {Fate.GOES_ON}
        assert not found.refused + back.refused
        assert not found.is_empty
        assert not found.settings.keys() - {"rolling_window"}


MULTICLASS = {
    "task": "multiclass",
    "label": None,
    "models": {"bayes": bayes},
    "features": [fields("age")],
}


class TestFixed:
    @pytest.mark.parametrize(
        ("field", "base", "other"),
        [
            ("name", {}, {"name": "others"}),
            ("event_id", {}, {"event_id": "note"}),
            ("key", {}, {"key": None}),
            ("event_time", {}, {"event_time": None}),
            ("task", {"models": {"m": bayes}, "metrics": {}}, {"task": "multiclass"}),
            ("label", {"features": [fields("age")]}, {"label": None}),
            ("scope", {}, {"scope": "key"}),
        ],
    )
    def test_it_is_refused_by_name_with_the_way_out(
        self, visits: Make, field: str, base: dict[str, Any], other: dict[str, Any]
    ) -> None:
        """Neither from one to the other nor back."""
        one, two = visits(**base), visits(**base | other)
        for before, now in ((one, two), (two, one)):
            (reason,) = compared(before, now).refused
            was, is_now = describe(before)[field], describe(now)[field]
            assert reason.startswith(f"{field} must stay {was!r}, ")
            assert f"; got {is_now!r}. " in reason
            assert "another name" in reason or "a worker of its own" in reason


class TestClasses:
    def of(self, visits: Make, classes: list[Any] | None, **more: Any) -> Pipeline:
        return visits(**MULTICLASS | {"classes": classes} | more)

    def test_more_may_come_and_none_may_go(self, visits: Make) -> None:
        """Models go on with a class more, and not without one that they may know."""
        two, three = self.of(visits, ["a", "b"]), self.of(visits, ["c", "a", "b"])
        found = compared(two, three)
        assert not found.refused
        assert "classes may be ['c'] too" in str(found)
        (reason,) = compared(three, two).refused
        assert reason.startswith("classes must keep ['c'], which may have been learned")

    def test_their_type_stays(self, visits: Make) -> None:
        """True is not 1, though Python says so."""
        for one, two in (([1, 0], [True, False]), ([True, False], [0, 1]), ([1, 2], ["1", "2"])):
            (reason,) = compared(self.of(visits, one), self.of(visits, two)).refused
            assert reason.startswith("classes must keep")

    def test_open_ones_stay_open(
        self, visits: Make, schema_with: Callable[..., dict[str, Any]]
    ) -> None:
        """What has been learned is not known: a list may lack it. The other way, all may come."""
        given = {"schema": schema_with(note={"name": "note", "type": "string"}), "label": "note"}
        listed, unlisted = self.of(visits, ["a", "b"], **given), self.of(visits, None, **given)
        (reason,) = compared(unlisted, listed).refused
        assert reason.startswith("classes must stay open")
        found = compared(listed, unlisted)
        assert not found.refused
        assert "classes are open" in str(found)

    def test_symbols_of_the_label(
        self, visits: Make, schema_with: Callable[..., dict[str, Any]]
    ) -> None:
        """A symbol may be added; one that goes is refused, even where the enum has a default."""

        def of(*symbols: str) -> Pipeline:
            colour = {"type": "enum", "name": "Colour", "symbols": [*symbols], "default": "RED"}
            return self.of(
                visits,
                None,
                schema=schema_with(note={"name": "note", "type": colour}),
                label="note",
            )

        two, three = of("RED", "BLUE"), of("RED", "BLUE", "GREEN")
        assert not compared(two, three).refused
        assert "classes must keep ['GREEN']" in str(compared(three, two))


class TestSchema:
    """What Avro's rules say of two schemas is in `schemas/test_compatibility.py`."""

    @pytest.mark.parametrize(
        ("changed", "note"),
        [
            ({"zip": {"name": "zip", "type": "int", "default": 0}}, "the field 'zip' is new"),
            (
                {"zip": {"name": "zip", "type": ["null", "int"], "default": None}},
                "the field 'zip' is new",
            ),
            ({"note": None}, "the field 'note' is gone"),
            ({"age": {"name": "age", "type": "long"}}, "the field 'age' is long; it was int"),
            ({"age": {"name": "age", "type": "double"}}, "the field 'age' is double; it was int"),
            (
                {"remark": {"name": "remark", "type": "string", "aliases": ["note"]}, "note": None},
                "the field 'remark' was 'note'",
            ),
            (
                {"age": {"name": "age", "type": "int", "default": 1}},
                "the field 'age' is declared otherwise",
            ),
            (
                {"age": {"name": "age", "type": "int"}},
                "the names of types, or the order of fields, are other",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_can_be_read_goes_on(
        self,
        visits: Make,
        schema_with: Callable[..., dict[str, Any]],
        changed: dict[str, Any],
        note: str,
    ) -> None:
        """It is named, and nothing begins anew."""
        found = compared(visits(), visits(schema=schema_with(**changed)))
        assert not found.refused + found.changed + found.added + found.removed
        assert f"schema: {note}" in found.notes

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"zip": {"name": "zip", "type": "int"}}, "zip"),
            ({"extra": None}, "extra"),
            ({"extra": {"name": "extra", "type": "int"}}, "extra"),
            ({"extra": {"name": "extra", "type": "string"}}, "extra"),
        ],
        ids=["no default", "gone without default", "narrower", "other type"],
    )
    def test_what_cannot_is_refused_by_field(
        self,
        visits: Make,
        schema_with: Callable[..., dict[str, Any]],
        changed: dict[str, Any],
        field: str,
    ) -> None:
        """Events in flight could not be read."""
        extra = {"extra": {"name": "extra", "type": "long"}}
        before = visits(schema=schema_with(**extra))
        found = compared(before, visits(schema=schema_with(**extra | changed)))
        (reason,) = found.refused
        assert reason.startswith(f"schema: field {field!r}")

    def test_a_field_that_a_feature_reads_cannot_go(
        self, visits: Make, schema_with: Callable[..., dict[str, Any]]
    ) -> None:
        """Avro could do without it, the function of a feature that goes on could not."""
        features = [fields("age"), derived("per_year", per_year)]
        before = visits(features=features)
        without = schema_with(price=None)
        (reason,) = compared(before, visits(features=features, schema=without)).refused
        assert reason.startswith("schema: field 'price', which features['per_year'] reads, is gone")
        assert not compared(before, visits(features=[fields("age")], schema=without)).refused
        assert not compared(visits(features=features, schema=without), before).refused

    @pytest.mark.parametrize(
        ("feature", "field"),
        [
            (derived("extra", lambda event: event["age"]), "extra"),
            (rolling("age", "mean", window=timedelta(hours=1)), "mean"),
            (calendar("hour"), "hour"),
        ],
        ids=["derived", "rolling", "calendar"],
    )
    def test_a_name_is_not_what_a_feature_reads(
        self, visits: Make, schema_with: Callable[..., dict[str, Any]], feature: Any, field: str
    ) -> None:
        """A field may go that a feature is named as, and does not read."""
        more = schema_with({"name": field, "type": "int", "default": 0})
        before, now = visits(features=[feature], schema=more), visits(features=[feature])
        assert not compared(before, now).refused

    def test_nor_be_of_another_kind(
        self, visits: Make, schema_with: Callable[..., dict[str, Any]]
    ) -> None:
        """Avro reads text as bytes; a function that expects text does not."""
        features = [fields("age"), derived("length", lambda event: len(event["note"]))]
        in_bytes = schema_with(note={"name": "note", "type": "bytes", "default": ""})
        for one, two, kind in ((SCHEMA, in_bytes, "text"), (in_bytes, SCHEMA, "bytes")):
            before, now = (visits(features=features, schema=each) for each in (one, two))
            (reason,) = compared(before, now).refused
            assert reason.startswith(
                f"schema: field 'note', which features['length'] reads, is no {kind} any more"
            )

    def test_the_label_is_compared_once(self, visits: Make) -> None:
        """A change of the label is one reason, not another of the schema's too."""
        now = visits(label=None, features=[fields("age")], schema={**SCHEMA, "doc": "Visits."})
        before = visits(features=[fields("age")])
        assert [each[:10] for each in compared(before, now).refused] == ["label must"]


SETTINGS: dict[str, tuple[Any, str, Any]] = {
    "max_classes": (7, "max_classes", 7),
    "max_models": (7, "max_models", 7),
    "rolling_window": (7, "rolling_window", 7),
    "drift": (DriftSettings(policy="reset"), "drift.policy", "reset"),
    "pending": (Pending(ttl=timedelta(hours=1)), "pending.ttl", "1:00:00"),
    "earliest": (datetime(2020, 1, 1, tzinfo=UTC), "earliest", "2020-01-01T00:00:00+00:00"),
    "max_ahead": (timedelta(days=2), "max_ahead", "2 days, 0:00:00"),
    "max_id_bytes": (7, "max_id_bytes", 7),
    "allow_non_finite": (("price",), "allow_non_finite", ["price"]),
    "carry_headers": (["trace"], "carry_headers", ["trace"]),
    "ignore_tombstones": (True, "ignore_tombstones", True),
    "on_invalid_prediction": ("alert", "on_invalid_prediction", "alert"),
    "largest_feature": (1e6, "largest_feature", 1e6),
    "on_error": ("stop", "on_error", "stop"),
    "earlier_schemas": ([SCHEMA], "earlier_schemas", [EventSchema(SCHEMA).fingerprint]),
    "numbers_as_text": (["price"], "numbers_as_text", ["price"]),
    "events": (
        [Source("visits")],
        "events",
        [
            {
                "topic": "visits",
                "envelope": "plain",
                "on_update": "ignore",
                "decode": None,
                "start": "earliest",
            }
        ],
    ),
    "labels": (
        [LabelSource("sales", event_id="visit", label="bought", values={"yes": True}, key="user")],
        "labels",
        [
            {
                "topic": "sales",
                "event_id": "visit",
                "label": "bought",
                "time": None,
                "values": [["yes", True]],
                "key": "user",
                "priority": 1,
                "envelope": "plain",
                "decode": None,
                "start": "earliest",
            }
        ],
    ),
    "label_default": (
        LabelDefault(False, after=timedelta(hours=1)),
        "label_default",
        {"label": False, "after": "1:00:00"},
    ),
    "label_conflicts": (
        LabelConflicts(within=timedelta(hours=1)),
        "label_conflicts",
        {"within": "1:00:00", "keep": "last"},
    ),
    "reasons": (3, "reasons", 3),
    "certainty": (
        Conformal(coverage=0.95),
        "certainty",
        {"coverage": 0.95, "method": "sf_ogd", "by_key": False, "abstain": False},
    ),
    "promotion": (
        Promotion(margin=0.02),
        "promotion",
        {
            "metric": None,
            "alpha": 0.05,
            "margin": 0.02,
            "min_labels": 500,
            "probation": 2_000,
            "policy": "auto",
            "wait": None,
            "group": None,
        },
    ),
}
"""A parameter to another value of it, and what of it is named in the summary."""

RULED = {
    *("name", "schema", "event_id", "task", "models", "label", "classes", "key", "event_time"),
    *("features", "scope", "metrics"),
}
"""What the tests above are about."""


class TestSettings:
    def test_each_parameter_of_a_pipeline_has_a_rule(self, visits: Make) -> None:
        """A parameter that is added to `Pipeline` is described, and its rule is tested here."""
        parameters = {each.name for each in fields_of(Pipeline)}
        assert parameters == RULED | SETTINGS.keys()
        assert describe(visits()).keys() == parameters

    @pytest.mark.parametrize("parameter", SETTINGS)
    def test_it_takes_effect(self, visits: Make, parameter: str) -> None:
        """A setting is named with its values before and now, and nothing is refused."""
        value, name, as_data = SETTINGS[parameter]
        found = compared(visits(), visits(**{parameter: value}))
        before, now = found.settings[name]
        assert now == as_data != before
        assert [*found.settings] == [name]
        assert not found.refused
        assert compared(visits(**{parameter: value}), visits()).settings == {name: (now, before)}

    def test_what_an_earlier_release_did_not_describe_is_no_change(self, visits: Make) -> None:
        """A description is read in later releases, which may know more."""
        before = describe(visits())
        del before["on_error"], before["drift"]["cooldown"]
        assert changes(before, describe(visits())).is_empty


class TestSummary:
    def test_it_is_short_and_says_all(self, visits: Make) -> None:
        """A line for each change; what is refused comes last."""
        now = visits(
            models={"linear": LINEAR, "tree": forest},
            drift=DriftSettings(policy="reset"),
            scope="key",
        )
        assert str(compared(visits(), now)).splitlines() == [
            "visits: what changes",
            "  models['linear'], the champion, goes on",
            "  models['tree'] begins, untrained, beside the champion",
            "  models['bayes'] is retired",
            "  drift.policy is 'reset'; it was 'alert'",
            "  the other 10 parts go on",
            "  refused: scope must stay 'global', by which models are kept; got 'key'. Give the"
            " pipeline another name: it has topics and state of its own",
        ]

    def test_it_is_data_too(self, visits: Make) -> None:
        """Programs and the audit read it as JSON."""
        now = visits(models={"linear": by_closure(0.5), "bayes": bayes}, max_id_bytes=7)
        found = json.loads(json.dumps(compared(visits(), now).to_json()))
        assert found["pipeline"] == "visits"
        assert found["candidates"] == {"linear": "challenges", "bayes": "goes on"}
        assert found["settings"] == {"max_id_bytes": {"before": 1024, "now": 7}}
        assert found["changed"] == ["models['linear']"]
        assert found["refused"] == []


def test_the_function_of_a_feature_is_what_it_was(visits: Make) -> None:
    """Comments, documentation and annotations are no change (decision 33)."""
    assert per_year({"price": 3.0, "age": 2}) == 1.5
    assert compared(visits(), visits(features=visits().features)).is_empty
