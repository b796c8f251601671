"""Every model of the catalogue: its reasons add up to what it predicts, or it has none."""

import pickle
import random

import pytest

from millrace import catalogue
from millrace.models.candidates.baselines import baselines
from millrace.models.pipeline.tasks import Task
from millrace.models.reasons.explainer import explainer
from millrace.models.reasons.reasons import (
    LEAF_MODEL,
    LIMITS,
    NOT_FEATURES,
    NoReasons,
    Scale,
    in_leaf,
)
from tests.unit.models.reasons.events import answered, check, features

WITHOUT = {"knn": "KNNClassifier", "half_space_trees": "HalfSpaceTrees"}
NOT_YET = {"it has predicted nothing yet", "it knows only one class yet"}
SCALES = {
    "logistic_regression": Scale.LOG_ODDS,
    "alma": Scale.LOG_ODDS,
    "gaussian_naive_bayes": Scale.LOG_ODDS,
}
SLOW = ("forest", "bagging")


def cases(with_reasons):
    for task in Task:
        for name in catalogue.names(task):
            if (name not in WITHOUT) is not with_reasons:
                continue
            for numeric in (True, False):
                length = 120 if any(each in name for each in SLOW) else 500
                kind = "numbers" if numeric else "text"
                yield pytest.param(name, task, numeric, length, id=f"{task}-{name}-{kind}")


each_model = pytest.mark.parametrize(("name", "task", "numeric", "length"), [*cases(True)])


@each_model
def test_reasons_add_up_to_every_prediction(name, task, numeric, length):
    """From the first event on, and of features that users named, not of what was made of them.

    Features are missing, new, constant and of all types, and there is a drift.
    """
    model = catalogue.factory(name, task, numeric)()
    named = {"small", "large", "flag", "constant", "new"} | (set() if numeric else {"colour"})
    n_unknown, found = 0, set()
    for number, (_, predicted, reasons) in enumerate(answered(model, task, length, numeric)):
        if isinstance(reasons, NoReasons) and number < 20 and reasons.why in NOT_YET:
            n_unknown += 1
            continue
        check(reasons, predicted, task)
        found |= reasons.contributions.keys()
    assert n_unknown < 10
    assert found <= named | {in_leaf(each) for each in named} | NOT_FEATURES
    assert found & {"small", "large", in_leaf("small"), LEAF_MODEL}


@each_model
def test_an_answer_changes_neither_model_nor_features(name, task, numeric, length):
    """The model is the same to the last byte after it was asked, and so are the features."""
    model = catalogue.factory(name, task, numeric)()
    for number, (x, predicted, _) in enumerate(answered(model, task, 60, numeric)):
        if number % 30 == 29:
            before, seen = pickle.dumps(model), x.copy()
            explainer(model, task).explain(x, predicted)
            assert pickle.dumps(model) == before
            assert x == seen


@each_model
def test_the_scale_is_stated(name, task, numeric, length):
    """Before anything is learned, and the answers are on it."""
    model = catalogue.factory(name, task, numeric)()
    regression = Scale.TARGET if task is Task.REGRESSION else Scale.PROBABILITY
    scale = explainer(model, task).scale
    assert scale is SCALES.get(name, regression)
    for _, _, reasons in answered(model, task, 20, numeric):
        assert isinstance(reasons, NoReasons) or reasons.scale is scale


@pytest.mark.parametrize(("name", "task", "numeric", "length"), [*cases(False)])
def test_other_models_have_no_exact_reasons(name, task, numeric, length):
    """Neighbours and half-space trees say so, before they learn anything."""
    found = explainer(catalogue.factory(name, task, numeric)(), task)
    why = f"{WITHOUT[name]} is not known to add up over features"
    assert str(found) == f"no exact reasons for this model: {why}"


@pytest.mark.parametrize("task", [*Task])
def test_baselines_have_no_exact_reasons(task):
    """They look at no feature."""
    for model in baselines(task).values():
        assert isinstance(explainer(model, task), NoReasons)


@pytest.mark.parametrize("name", ["hoeffding_tree", "gaussian_naive_bayes", "logistic_regression"])
def test_reasons_right_after_one_example(name):
    """A model that has learned one event answers, or says that it knows one class only."""
    model = catalogue.factory(name, "binary")()
    found = [(x, predicted, reasons) for x, predicted, reasons in answered(model, "binary", 2)]
    _, predicted, reasons = found[-1]
    if not isinstance(reasons, NoReasons):
        check(reasons, predicted, "binary")
    else:
        assert reasons.why in NOT_YET


def test_with_two_classes_answers_are_about_true():
    """So that a sign means the same in all of them, whatever is predicted."""
    model = catalogue.gaussian_naive_bayes()
    for _ in answered(model, "binary", 100):
        pass
    values = set()
    for _, predicted, reasons in answered(model, "binary", 100, seed=2):
        values.add(predicted["value"])
        assert (reasons.of, reasons.against) == (True, False)
    assert values == {True, False}


def test_with_many_classes_answers_are_about_the_predicted_one():
    """Against the next likeliest, where a model tells all probabilities from log-odds."""
    model = catalogue.gaussian_naive_bayes()
    for number, (_, predicted, reasons) in enumerate(answered(model, "multiclass", 200)):
        if number > 50:
            shares = sorted(predicted["probabilities"], key=predicted["probabilities"].get)
            assert [str(reasons.against), str(reasons.of)] == shares[-2:]


def test_one_against_the_rest_answers_with_the_log_odds_of_its_own_model():
    """As they are before the probabilities of all classes are divided by their sum."""
    model = catalogue.factory("logistic_regression", "multiclass")()
    for number, (x, predicted, reasons) in enumerate(answered(model, "multiclass", 200)):
        if number > 5:
            scaler, many = model.steps.values()
            own = many.classifiers[predicted["value"]]
            probability = own.predict_proba_one(scaler.transform_one(x))[True]
            odds = {"True": probability, "False": 1.0 - probability}
            check(
                reasons._replace(of=True, against=False),
                {**predicted, "probabilities": odds},
                "binary",
            )


def test_a_scaled_feature_is_compared_with_its_mean():
    """It adds weight / deviation * (value - mean), and nothing where it has its mean."""
    model = catalogue.logistic_regression()
    for _ in answered(model, "binary", 300):
        pass
    scaler, last = model.steps.values()
    x = {"small": 2.0, "large": scaler.means["large"], "flag": True}
    predicted = {"value": None, "probabilities": {}}
    reasons = explainer(model, "binary").explain(x, predicted)
    deviation = scaler.vars["small"] ** 0.5
    expected = last.weights["small"] / deviation * (2.0 - scaler.means["small"])
    assert reasons.contributions["small"] == pytest.approx(expected)
    assert reasons.contributions["large"] == 0.0
    assert reasons.base == last.intercept


def test_a_limited_prediction_says_what_the_limits_add():
    """Linear regression stays within ten deviations, and the answer still adds up."""
    model = catalogue.linear_regression()
    for _ in answered(model, "regression", 300):
        pass
    x = {"small": 1e9, "large": 5e5, "flag": True}
    predicted = {"value": model.predict_one(x), "probabilities": {}}
    reasons = explainer(model, "regression").explain(x, predicted)
    check(reasons, predicted, "regression")
    assert reasons.contributions[LIMITS] * reasons.contributions["small"] < 0


def test_features_of_tests_are_of_all_kinds():
    """Missing, new, none at all, and text of which an encoder has not heard."""
    rng = random.Random(1)
    found = [features(rng, numeric=False) for _ in range(500)]
    assert {} in found
    assert any("new" in x for x in found)
    assert any("small" not in x and x for x in found)
