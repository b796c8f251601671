"""State of release 0.1 is brought up to date, and trials continue where they were."""

from __future__ import annotations

from collections import Counter

import pytest
from river import dummy, naive_bayes

from millrace.models.candidates.baselines import MostCommon
from millrace.models.candidates.earlier import Replacement
from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.comparison_losses import own_loss
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.trial import MIN_LABELS

X = {"a": 1.0}


def replacement(trial: int, learned: int, advantage: float) -> Replacement:
    """Return what a pickle of release 0.1 becomes."""
    saved = Replacement()
    model = dummy.NoChangeClassifier()
    model.learn_one(X, False)
    vars(saved).update(
        model=model, _task=Task.BINARY, _trial=trial, _learned=learned, _advantage=advantage
    )
    return saved


def models_of(replacements: dict[str, Replacement], asks_probabilities: bool = False) -> ModelSet:
    """Load a set of models as release 0.1 saved it, after 30 examples."""
    own, other, prior = naive_bayes.GaussianNB(), naive_bayes.GaussianNB(), MostCommon()
    no_change = dummy.NoChangeClassifier()
    for model in (own, other, no_change, prior):
        for _ in range(30):
            model.learn_one(X, True)
    loaded = ModelSet.__new__(ModelSet)
    loaded.__setstate__(
        {
            "task": Task.BINARY,
            "champion": "own",
            "models": {"own": own, "other": other, "no_change": no_change, "prior": prior},
            "asks_probabilities": asks_probabilities,
            "version": 30,
            "replacements": replacements,
            "failures": Counter(other=2),
        }
    )
    return loaded


def label(models: ModelSet, value: bool) -> None:
    predicted = models.predict(X)
    models.compare(own_loss(models.task).of_each(value, predicted), block=0, settled=1)
    models.learn(X, value)


@pytest.mark.parametrize("asks_probabilities", [False, True])
def test_models_are_the_same(asks_probabilities):
    """In the same order, with what they have learned, and with the same probabilities."""
    models = models_of({}, asks_probabilities)
    predicted = models.predict(X)
    assert [*predicted] == ["own", "other"]
    assert [*models.models] == ["own", "other", "no_change", "prior"]
    assert {name: each[-1]["value"] for name, each in models.answer_baselines().items()} == {
        "no_change": True,
        "prior": True,
    }
    assert {each["value"] for each in predicted.values()} == {True}
    assert predicted["own"]["probabilities"] == {"True": 1.0}
    assert bool(predicted["other"]["probabilities"]) is asks_probabilities
    assert (models.version, models.champion, models.task) == (30, "own", Task.BINARY)
    assert models.failures == {"other": 2}
    assert models.challengers == {}


def test_a_replacement_in_its_warm_up_is_not_compared_yet():
    """Two of its five examples of warm-up are missing."""
    models = models_of({"own": replacement(trial=10, learned=3, advantage=0.0)})
    challenger = models.challengers["own"]
    assert (challenger.incumbent, challenger.name) == ("own", "own.challenger@27")
    predicts = []
    for _ in range(2 + MIN_LABELS):
        predicts.append(challenger.predicts)
        label(models, False)
    assert predicts == [False] * 2 + [True] * MIN_LABELS
    assert models.challengers == {}
    assert models.models["own"] is challenger.model


@pytest.mark.parametrize("advantage", [-1.0, 100.0])
def test_a_replacement_is_compared_anew(advantage):
    """What the first release added up is in no order, and decides nothing."""
    models = models_of({"own": replacement(trial=10, learned=8, advantage=advantage)})
    challenger = models.challengers["own"]
    assert challenger.predicts
    for _ in range(MIN_LABELS):
        assert models.challengers == {"own": challenger}
        label(models, False)
    assert models.models["own"] is challenger.model


def test_state_of_this_release_is_taken_as_it_is():
    """Only what release 0.1 wrote is changed."""
    models = models_of({})
    again = ModelSet.__new__(ModelSet)
    again.__setstate__(vars(models))
    assert vars(again) == vars(models)
