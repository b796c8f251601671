"""A prediction is made again from the log alone, or an error says why it cannot be."""

from __future__ import annotations

import pytest

from millrace.models.pipelines.loans import pipeline
from millrace.schemas import BrokerError, ExpiredError, SettingsError
from millrace.streams.operators.record import Origin
from millrace.streams.retention import parse_retention
from millrace.streams.state.archive.store import ArchiveStore
from millrace.streams.state.archive.writing import ArchiveWriter
from millrace.streams.state.log import StateLog
from millrace.streams.tools.reproduce import Reproduction, fold, reproduce
from tests.unit.streams.tools.conftest import KEY, LEARNER

REASONS = {
    "scale": "log_odds",
    "base": 0.0,
    "of": True,
    "against": False,
    "contributions": {"age": 1.0, "loan": 0.5},
    "rest": 0.0,
    "why_none": "",
}
CERTAINTY = {
    "coverage": 0.9,
    "threshold": 0.5,
    "lower": None,
    "upper": None,
    "classes": {"true": 1.0},
    "why_none": "",
    "abstained": "",
}


@pytest.fixture
def again(left):
    """Make the prediction of an event again, perhaps with other settings."""

    def again(event_id="50", progress=lambda *_: None, **settings):
        changed = left.settings.model_copy(update=settings)
        return reproduce(left.clients, pipeline, changed, event_id, progress)

    return again


def test_the_same_prediction_is_made_again(left, again):
    """Value, probabilities, features, model and version are identical."""
    left.write()
    result = again()
    assert result.differences == {}
    assert result.published["model_version"] == 50
    assert result.again["event_id"] == "50"
    assert (result.topic, result.partition) == ("loans.features", 0)
    assert (result.offset, result.records) == (50, 51)


def test_predictions_of_any_format_are_found(left_json):
    """Also in JSON, where an id may be written with escapes."""
    left_json.write()
    settings = left_json.settings
    result = reproduce(left_json.clients, pipeline, settings, "50", lambda *_: None)
    assert result.differences == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "other"),
        ("probabilities", {"true": 0.25}),
        ("features", {}),
        ("model", "other"),
        ("model_version", 51),
        ("reasons", REASONS),
        ("certainty", CERTAINTY),
    ],
)
def test_every_difference_is_found(left, again, field, value):
    """As (published, made again), by field."""
    left.write(lambda prediction: prediction.update({field: value}))
    result = again()
    assert result.differences == {field: (value, result.again[field])}


def test_an_earlier_release_named_classes_otherwise(left, again):
    """That is no difference."""

    def rename(prediction):
        named = prediction["probabilities"]
        prediction["probabilities"] = {name.capitalize(): p for name, p in named.items()}

    left.write(rename)
    assert again().differences == {}


def test_probabilities_are_compared_as_they_are_written():
    """River answers 0 and not 0.0 where it is sure; a record has doubles."""
    published = {"value": False, "probabilities": {"false": 1.0, "true": 0.0}, "features": {}}
    published |= {"model": "m", "model_version": 1, "reasons": None, "certainty": None}
    other = published | {"probabilities": {"false": 1.0, "true": 0}}
    assert Reproduction(published, other, "t", 0, 0, 1).differences == {}
    other = published | {"probabilities": {"false": 1.0, "true": 1e-300}}
    assert [*Reproduction(published, other, "t", 0, 0, 1).differences] == ["probabilities"]


def test_the_order_of_a_map_is_no_difference():
    """Avro gives it none; a number that is equal but of another type is a difference."""
    published = {"value": True, "probabilities": {"a": 0.5, "b": 0.5}, "features": {"x": 1}}
    published |= {"model": "m", "model_version": 1, "reasons": None, "certainty": None}
    other = published | {"probabilities": {"b": 0.5, "a": 0.5}}
    assert Reproduction(published, other, "t", 0, 0, 1).differences == {}
    other = published | {"features": {"x": 1.0}}
    assert [*Reproduction(published, other, "t", 0, 0, 1).differences] == ["features"]
    other = published | {"features": None}
    assert [*Reproduction(published, other, "t", 0, 0, 1).differences] == ["features"]
    other = published | {"features": {}}
    assert [*Reproduction(published, other, "t", 0, 0, 1).differences] == ["features"]


def test_reasons_are_compared_as_they_are_written():
    """A weight that has learned nothing is int 0 in memory; a record has doubles, in any order."""
    published = {"value": True, "probabilities": {}, "features": {}, "model": "m"}
    published |= {"model_version": 1, "reasons": REASONS, "certainty": None}
    in_memory = {"base": 0, "rest": 0, "contributions": {"loan": 0.5, "age": 1}}
    other = published | {"reasons": REASONS | in_memory}
    assert Reproduction(published, other, "t", 0, 0, 1).differences == {}
    for changed in ({"base": 1e-300}, {"of": 1}, {"contributions": {"age": 1.0, "loan": 0.6}}):
        other = published | {"reasons": REASONS | changed}
        assert [*Reproduction(published, other, "t", 0, 0, 1).differences] == ["reasons"]


def test_certainty_is_compared_as_it_is_written():
    """A probability of 1 may be int in memory; classes have no order, and all else counts."""
    published = {"value": True, "probabilities": {}, "features": {}, "model": "m"}
    published |= {"model_version": 1, "reasons": None, "certainty": CERTAINTY}
    other = published | {"certainty": CERTAINTY | {"classes": {"true": 1}}}
    assert Reproduction(published, other, "t", 0, 0, 1).differences == {}
    for changed in ({"threshold": 0.6}, {"lower": 0.0}, {"classes": {}}, {"why_none": "no_label"}):
        other = published | {"certainty": CERTAINTY | changed}
        assert [*Reproduction(published, other, "t", 0, 0, 1).differences] == ["certainty"]


def test_progress_is_reported(left, again):
    """What is read, how many records so far, and how many there are at most."""
    left.write()
    seen = []
    again(progress=lambda *given: seen.append(given))
    assert seen[0] == ("searching loans.predictions", 1, 60)
    assert seen[51] == ("reading loans.features[0]", 1, 60)
    assert seen[-1] == ("reading loans.features[0]", 51, 60)


def test_an_event_without_a_prediction_is_an_error(left, again):
    """The error names the event and the topic."""
    left.write()
    with pytest.raises(SettingsError, match=r"'nobody' has no prediction on .* loans\.predictions"):
        again("nobody")


def test_an_id_within_another_text_is_not_mistaken(left, again):
    """`5` is part of `50`, and of many numbers."""
    left.write()
    assert again("5").published["event_id"] == "5"


def test_a_chain_with_prediction_apart_from_learning_is_an_error(left, again):
    """There, the log does not say which model has predicted."""
    left.write()
    with pytest.raises(SettingsError, match=r"chain must keep .* in one agent.*got 'split'"):
        again(chain="split")


def test_a_log_without_its_beginning_is_an_error(left, again):
    """If records have expired, the models cannot be made again."""
    left.write()
    left.broker.expire("loans.features", before=10)
    with pytest.raises(BrokerError, match=r"loans\.features\[0\] begins at offset 10"):
        again()


def test_an_empty_log_is_an_error(left, again):
    """The workers may have run another chain."""
    left.write()
    with pytest.raises(BrokerError, match=r"empty: partition 0 of loans\.events, loans\.labels"):
        again(chain="full")


def test_events_and_labels_on_two_topics_are_an_error(left, again):
    """In the chain full, of a release that kept no order, nothing says how they were read."""
    left.write()
    left.broker.put("loans.events", b"{}")
    left.broker.put("loans.labels", b"{}")
    with pytest.raises(
        BrokerError, match=r"loans\.events\[0\]@0 and loans\.labels\[0\]@0 came first"
    ):
        again(chain="full")


def test_an_event_that_is_not_in_the_log_is_an_error(left, again):
    """The pipeline or the chain may be another one."""
    left.write()
    left.broker.put("loans.events", b"not an event")
    with pytest.raises(BrokerError, match=r"'50' was predicted, but is not in loans\.events\[0\]"):
        again(chain="full")


def test_a_record_that_cannot_be_decoded_is_folded_as_its_reject(left):
    """As in the engine."""
    made = [*fold(left.task, [Origin("features", 0, 7, 0, None, b"broken")], left.codec)]
    assert [(each.topic, each.value["reason"], each.value["offset"]) for each in made] == [
        ("rejects", "malformed", 7)
    ]


@pytest.fixture
def archived(left, tmp_path):
    """Archive the state that is saved, as it was at a time, and let the log before it expire."""
    url = str(tmp_path)
    store = ArchiveStore(url, "loans.")

    def write(version, covers, time_ms=0, expires=True):
        left.save(covers)
        state = StateLog(pipeline, LEARNER, left.clients, "loans.", KEY)
        keep = parse_retention("24h")
        ArchiveWriter(store, LEARNER, state, "loans.", KEY, keep, lambda: time_ms).write(
            version, 0, {}
        )
        if expires:
            left.broker.expire("loans.features", before=covers)

    left.settings = left.settings.model_copy(update={"archive": url})
    return write


def test_where_the_log_has_expired_an_archived_version_takes_its_place(left, again, archived):
    """The newest from before the event, and it is said which."""
    left.write_some(10)
    archived("old", 10, expires=False)
    left.write_some(30)
    archived("near", 30)
    left.write()
    left.save(60)
    result = again()
    assert result.differences == {}
    assert (result.version, result.offset, result.records) == ("near", 50, 21)


def test_a_version_that_has_seen_the_event_is_passed_over(left, again, archived):
    """It is younger than the prediction; or, where clocks differ, the event does not come again."""
    left.write_some(30)
    archived("near", 30)
    left.write_some(55)
    archived("younger", 55, time_ms=1, expires=False)
    archived("zz-by-another-clock", 55, time_ms=0, expires=False)
    left.write()
    result = again()
    assert (result.version, result.differences) == ("near", {})


def test_versions_that_do_not_fit_are_an_error_that_says_what_would(left, again, archived):
    """The log behind it has expired, too."""
    left.write_some(10)
    archived("old", 10)
    left.write()
    left.broker.expire("loans.features", before=20)
    with pytest.raises(ExpiredError, match=r"begins at offset 20.*No version in .* does"):
        again()
    with pytest.raises(ExpiredError, match=r"With MILLRACE_ARCHIVE, an archived version may do"):
        again(archive="")
