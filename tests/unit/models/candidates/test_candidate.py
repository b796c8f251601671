"""A candidate predicts with its model and trains it, also after it was pickled."""

from __future__ import annotations

import pickle

import pytest
from river import anomaly, naive_bayes

from millrace.models.candidates.candidate import Candidate
from millrace.models.pipeline.tasks import Task


def trained(probabilities: bool) -> Candidate:
    candidate = Candidate(naive_bayes.GaussianNB(), Task.BINARY, probabilities)
    for i in range(10):
        candidate.learn({"a": float(i)}, i > 5)
    return candidate


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_candidate_predicts_what_its_model_has_learned(probabilities):
    """With probabilities if they are wanted."""
    predicted = trained(probabilities).predict({"a": 9.0})
    assert predicted["value"] is True
    assert bool(predicted["probabilities"]) is probabilities


def test_probabilities_are_left_out_by_default():
    """They cost as much as a small model."""
    candidate = Candidate(naive_bayes.GaussianNB(), Task.BINARY)
    candidate.learn({"a": 1.0}, True)
    assert candidate.predict({"a": 1.0}) == {"value": True, "probabilities": {}}


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_pickled_candidate_predicts_the_same(probabilities):
    """With or without probabilities."""
    candidate = trained(probabilities)
    loaded = pickle.loads(pickle.dumps(candidate))
    assert loaded.predict({"a": 2.0}) == candidate.predict({"a": 2.0})
    loaded.learn({"a": 2.0}, True)
    assert loaded.predict({"a": 2.0}) != candidate.predict({"a": 2.0}) or not probabilities
    assert loaded.model is not candidate.model


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_candidate_with_another_model_has_the_same_settings(probabilities):
    """The first candidate keeps its model."""
    candidate, model = trained(probabilities), naive_bayes.GaussianNB()
    other = candidate.with_model(model)
    other.learn({"a": 1.0}, False)
    assert other.model is model is not candidate.model
    assert bool(other.predict({"a": 9.0})["probabilities"]) is probabilities
    assert other.predict({"a": 9.0})["value"] is False
    assert candidate.predict({"a": 9.0})["value"] is True


def test_the_task_of_another_model_is_the_same():
    """An anomaly detector gives scores."""
    candidate = Candidate(anomaly.HalfSpaceTrees(seed=1), Task.ANOMALY)
    assert candidate.with_model(anomaly.HalfSpaceTrees(seed=2)).predict({"a": 1.0}) == {
        "value": 0.0,
        "probabilities": {},
    }
