"""Models of River beside the catalogue: their reasons add up, or they have none, and say why."""

import numbers
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import (
    base,
    compose,
    ensemble,
    forest,
    linear_model,
    metrics,
    multiclass,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    tree,
)

from millrace.models.candidates.predicting import predictor
from millrace.models.pipeline.tasks import Task
from millrace.models.reasons.explainer import explainer
from millrace.models.reasons.reasons import LEAF_MODEL, NoReasons
from tests.unit.models.reasons.events import answered, check

NOT_YET = {
    "it has predicted nothing yet",
    "it knows only one class yet",
    "its members have no answer for this event",
}


def scaled(model):
    return preprocessing.StandardScaler() | model


def bounded(rng, numeric):
    """Return features for models that take no large numbers, or no missing ones."""
    return {"small": rng.gauss(0, 1), "other": rng.random(), "flag": rng.random() < 0.5}


def counts(rng, numeric):
    return {"small": rng.randrange(3), "other": rng.randrange(3), "constant": 1}


def encoded(model, scaler=None):
    number = compose.SelectType(numbers.Number) | (scaler or preprocessing.MinMaxScaler())
    text = compose.SelectType(str) | compose.Prefixer("t_") | preprocessing.OneHotEncoder()
    return (number + text) | model


SLOW = {"n": 120}
SHORT_TREES = {"grace_period": 30, "delta": 0.5, "tau": 0.5}
BINARY = {
    "logistic, no scaler": (linear_model.LogisticRegression, {"make": bounded}),
    "logistic, L2": (lambda: scaled(linear_model.LogisticRegression(l2=0.1)), {}),
    "logistic, Hinge": (
        lambda: scaled(linear_model.LogisticRegression(loss=optim.losses.Hinge())),
        {},
    ),
    "logistic, Adam": (lambda: scaled(linear_model.LogisticRegression(optim.Adam(0.1))), {}),
    "logistic, rolling scaler": (
        lambda: preprocessing.StandardScaler(window_size=50) | linear_model.LogisticRegression(),
        {},
    ),
    "logistic, centred only": (
        lambda: preprocessing.StandardScaler(with_std=False) | linear_model.LogisticRegression(),
        {"make": bounded},
    ),
    "logistic, min and max": (
        lambda: preprocessing.MinMaxScaler() | linear_model.LogisticRegression(),
        {},
    ),
    "logistic, robust": (
        lambda: preprocessing.RobustScaler() | linear_model.LogisticRegression(),
        {"make": bounded},
    ),
    "logistic, largest": (
        lambda: preprocessing.MaxAbsScaler() | linear_model.LogisticRegression(),
        {},
    ),
    "logistic, adaptive scaler": (
        lambda: preprocessing.AdaptiveStandardScaler() | linear_model.LogisticRegression(),
        {},
    ),
    "logistic, text": (
        lambda: encoded(linear_model.LogisticRegression()),
        {"numeric": False},
    ),
    "perceptron": (lambda: scaled(linear_model.Perceptron()), {}),
    "passive-aggressive": (lambda: scaled(linear_model.PAClassifier()), {}),
    "softmax": (lambda: scaled(linear_model.SoftmaxRegression()), {}),
    "multinomial": (naive_bayes.MultinomialNB, {"make": counts}),
    "bernoulli": (naive_bayes.BernoulliNB, {"make": counts}),
    "tree, naive Bayes": (
        lambda: tree.HoeffdingTreeClassifier(leaf_prediction="nb", **SHORT_TREES),
        {},
    ),
    "tree, majority": (
        lambda: tree.HoeffdingTreeClassifier(leaf_prediction="mc", **SHORT_TREES),
        {"numeric": False},
    ),
    "tree, binary splits": (
        lambda: tree.HoeffdingTreeClassifier(binary_split=True, **SHORT_TREES),
        {"numeric": False},
    ),
    "extremely fast tree": (
        lambda: tree.ExtremelyFastDecisionTreeClassifier(grace_period=30),
        {"make": bounded},
    ),
    "adaptive tree": (
        lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=30, seed=1),
        {"n": 1_500, "make": bounded},
    ),
    "forest of River": (lambda: forest.ARFClassifier(n_models=3, seed=1), SLOW),
    "forest, other metric": (
        lambda: forest.ARFClassifier(n_models=3, seed=1, metric=metrics.CohenKappa()),
        SLOW,
    ),
    "forest, equal votes": (
        lambda: forest.ARFClassifier(n_models=3, seed=1, disable_weighted_vote=True),
        SLOW,
    ),
    "bagging": (
        lambda: ensemble.BaggingClassifier(
            scaled(tree.HoeffdingTreeClassifier(**SHORT_TREES)), n_models=3, seed=1
        ),
        SLOW,
    ),
    "ADWIN bagging": (
        lambda: ensemble.ADWINBaggingClassifier(
            tree.HoeffdingTreeClassifier(**SHORT_TREES), n_models=3, seed=1
        ),
        SLOW,
    ),
    "random patches": (
        lambda: ensemble.SRPClassifier(n_models=3, seed=1),
        {"n": 150, "make": bounded},
    ),
    "random patches, equal votes": (
        lambda: ensemble.SRPClassifier(n_models=3, seed=1, disable_weighted_vote=True),
        {"n": 150, "make": bounded},
    ),
    "Mondrian, scaled": (
        lambda: preprocessing.MinMaxScaler() | forest.AMFClassifier(n_estimators=3, seed=1),
        SLOW,
    ),
    "Mondrian, no aggregation": (
        lambda: forest.AMFClassifier(n_estimators=3, use_aggregation=False, seed=1),
        SLOW,
    ),
}
MULTICLASS = {
    "softmax": (lambda: scaled(linear_model.SoftmaxRegression()), {}),
    "multinomial": (naive_bayes.MultinomialNB, {"make": counts}),
    "bernoulli": (naive_bayes.BernoulliNB, {"make": counts}),
    "one against the rest, perceptron": (
        lambda: scaled(multiclass.OneVsRestClassifier(linear_model.Perceptron())),
        {},
    ),
    "one against the rest, trees": (
        lambda: multiclass.OneVsRestClassifier(tree.HoeffdingTreeClassifier(**SHORT_TREES)),
        {},
    ),
    "adaptive tree": (
        lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=30, seed=1),
        {"n": 1_000, "make": bounded},
    ),
    "forest of River": (lambda: forest.ARFClassifier(n_models=3, seed=1), SLOW),
    "Mondrian": (lambda: forest.AMFClassifier(n_estimators=3, seed=1), SLOW),
}
SMALL = {"make": bounded}
REGRESSION = {
    "linear": (lambda: scaled(linear_model.LinearRegression()), SMALL),
    "linear, L1": (lambda: scaled(linear_model.LinearRegression(l1=0.1)), SMALL),
    "linear, Huber": (
        lambda: scaled(linear_model.LinearRegression(loss=optim.losses.Huber())),
        SMALL,
    ),
    "linear, text": (lambda: encoded(linear_model.LinearRegression()), {"numeric": False}),
    "passive-aggressive": (lambda: scaled(linear_model.PARegressor()), SMALL),
    "Bayesian": (lambda: scaled(linear_model.BayesianLinearRegression()), SMALL),
    "scaled target": (
        lambda: scaled(preprocessing.TargetStandardScaler(linear_model.LinearRegression())),
        SMALL,
    ),
    "target from 0 to 1": (
        lambda: scaled(preprocessing.TargetMinMaxScaler(linear_model.LinearRegression())),
        SMALL,
    ),
    "limits": (
        lambda: scaled(preprocessing.PredClipper(linear_model.LinearRegression(), 990.0, 1010.0)),
        SMALL,
    ),
    "tree, mean": (
        lambda: tree.HoeffdingTreeRegressor(leaf_prediction="mean", grace_period=30),
        {},
    ),
    "tree, model": (
        lambda: scaled(tree.HoeffdingTreeRegressor(leaf_prediction="model", grace_period=30)),
        SMALL,
    ),
    "tree, adaptive": (
        lambda: scaled(tree.HoeffdingTreeRegressor(grace_period=30)),
        SMALL,
    ),
    "adaptive tree": (
        lambda: scaled(tree.HoeffdingAdaptiveTreeRegressor(grace_period=30, seed=1)),
        {"n": 1_000, "make": bounded},
    ),
    "bagging": (
        lambda: ensemble.BaggingRegressor(scaled(linear_model.LinearRegression()), 3, seed=1),
        SMALL,
    ),
    "forest, median": (
        lambda: forest.ARFRegressor(n_models=4, seed=1),
        {"n": 150, "make": bounded},
    ),
    "forest, odd median": (
        lambda: forest.ARFRegressor(n_models=3, seed=1),
        {"n": 150, "make": bounded},
    ),
    "forest, mean": (
        lambda: forest.ARFRegressor(n_models=3, seed=1, aggregation_method="mean"),
        {"n": 150, "make": bounded},
    ),
    "forest, weighted mean": (
        lambda: forest.ARFRegressor(
            n_models=3, seed=1, aggregation_method="mean", disable_weighted_vote=False
        ),
        {"n": 150, "make": bounded},
    ),
    "random patches": (
        lambda: ensemble.SRPRegressor(
            n_models=3, seed=1, metric=metrics.MAE(), disable_weighted_vote=False
        ),
        {"n": 150, "make": bounded},
    ),
    "random patches, R2": (
        lambda: ensemble.SRPRegressor(
            n_models=3, seed=1, metric=metrics.R2(), disable_weighted_vote=False
        ),
        {"n": 150, "make": bounded},
    ),
    "random patches, equal votes": (
        lambda: ensemble.SRPRegressor(n_models=3, seed=1, disable_weighted_vote=True),
        {"n": 150, "make": bounded},
    ),
    "random patches, median": (
        lambda: ensemble.SRPRegressor(n_models=4, seed=1, aggregation_method="median"),
        {"n": 150, "make": bounded},
    ),
    "Mondrian": (
        lambda: preprocessing.MinMaxScaler() | forest.AMFRegressor(n_estimators=3, seed=1),
        {"n": 200, "make": bounded},
    ),
    "Mondrian, no aggregation": (
        lambda: forest.AMFRegressor(n_estimators=3, use_aggregation=False, seed=1),
        {"n": 200, "make": bounded},
    ),
}
ALL = [
    pytest.param(task, make, {"n": 300, **options}, id=f"{task}-{name}")
    for task, models in (
        ("binary", BINARY),
        ("multiclass", MULTICLASS),
        ("regression", REGRESSION),
    )
    for name, (make, options) in models.items()
]


@pytest.mark.parametrize(("task", "make", "options"), ALL)
def test_reasons_add_up_to_every_prediction(task, make, options):
    """Whatever is learned, and a drift halfway."""
    model = make()
    for number, (_, predicted, reasons) in enumerate(answered(model, task, **options)):
        if isinstance(reasons, NoReasons) and number < 20 and reasons.why in NOT_YET:
            continue
        check(reasons, predicted, task)


@pytest.mark.parametrize(("task", "make", "options"), ALL)
def test_an_answer_does_not_change_the_model(task, make, options):
    """It is the same to the last byte after it was asked."""
    model = make()
    for number, (x, predicted, _) in enumerate(answered(model, task, **{**options, "n": 50})):
        if number % 25 == 24:
            before = pickle.dumps(model)
            explainer(model, task).explain(x, predicted)
            assert pickle.dumps(model) == before


class Own(linear_model.LogisticRegression):
    pass


class Odd(optim.losses.Squared):
    def mean_func(self, y_pred):
        return 2 * y_pred


NONE = {
    "own class": (Own, "Own is not known to add up over features"),
    "own class in a pipeline": (
        lambda: scaled(Own()),
        "Own is not known to add up over features",
    ),
    "function": (
        lambda: compose.FuncTransformer(bounded) | linear_model.LogisticRegression(),
        "what FuncTransformer makes of features cannot be told apart by feature",
    ),
    "norm": (
        lambda: preprocessing.Normalizer() | linear_model.LogisticRegression(),
        "what Normalizer makes of features cannot be told apart by feature",
    ),
    "hashes": (
        lambda: preprocessing.FeatureHasher() | linear_model.LogisticRegression(),
        "what FeatureHasher makes of features cannot be told apart by feature",
    ),
    "projection": (
        lambda: preprocessing.SparseRandomProjector() | linear_model.LogisticRegression(),
        "what SparseRandomProjector makes of features cannot be told apart by feature",
    ),
    "products, in a union": (
        lambda: (
            compose.TransformerUnion(
                compose.Select("small"),
                compose.TransformerProduct(compose.Select("small"), compose.Select("other")),
            )
            | linear_model.LogisticRegression()
        ),
        "what TransformerProduct makes of features cannot be told apart by feature",
    ),
    "other loss": (
        lambda: linear_model.LinearRegression(loss=optim.losses.Poisson()),
        "the loss Poisson predicts on another scale",
    ),
    "own loss": (
        lambda: linear_model.LinearRegression(loss=Odd()),
        "the loss Odd predicts on another scale",
    ),
    "log-odds averaged": (
        lambda: ensemble.BaggingClassifier(scaled(linear_model.LogisticRegression())),
        "it averages probabilities of models that add up to log-odds",
    ),
    "other target": (
        lambda: compose.TargetTransformRegressor(linear_model.LinearRegression(), abs, abs),
        "TargetTransformRegressor is not known to add up over features",
    ),
    "boosting": (
        lambda: ensemble.AdaBoostClassifier(tree.HoeffdingTreeClassifier()),
        "AdaBoostClassifier is not known to add up over features",
    ),
}


@pytest.mark.parametrize(("make", "why"), NONE.values(), ids=NONE)
def test_a_model_without_exact_reasons_says_why(make, why):
    """Before it learns anything."""
    assert explainer(make(), "binary") == NoReasons(why)


UNTRAINED = {
    "forest": lambda: forest.ARFRegressor(n_models=3, seed=1),
    "random patches": lambda: ensemble.SRPRegressor(n_models=3, seed=1),
    "tree": tree.HoeffdingTreeRegressor,
    "adaptive tree": lambda: tree.HoeffdingAdaptiveTreeRegressor(seed=1),
    "scaled target": lambda: preprocessing.TargetMinMaxScaler(linear_model.LinearRegression()),
}


@pytest.mark.parametrize("make", UNTRAINED.values(), ids=UNTRAINED)
def test_an_untrained_regressor_predicts_zero_for_no_reason(make):
    """As River does: nothing adds anything."""
    model = make()
    x = {"small": 1.0}
    answer = explainer(model, "regression").explain(x, {"value": 0.0, "probabilities": {}})
    assert (answer.total, answer.top(3)) == (0.0, [])


@pytest.mark.parametrize(
    "make",
    [
        naive_bayes.GaussianNB,
        tree.HoeffdingTreeClassifier,
        lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=1),
        lambda: forest.ARFClassifier(seed=1),
        lambda: forest.AMFClassifier(seed=1),
        lambda: ensemble.SRPClassifier(seed=1),
        lambda: multiclass.OneVsRestClassifier(linear_model.Perceptron()),
        linear_model.SoftmaxRegression,
    ],
)
def test_an_untrained_classifier_has_nothing_to_tell(make):
    """Even where somebody says that it predicted something."""
    for value in (None, True):
        predicted = {"value": value, "probabilities": {}}
        assert isinstance(explainer(make(), "multiclass").explain({"x": 1.0}, predicted), NoReasons)


def test_a_leaf_model_without_exact_reasons_is_one_contribution():
    """What it adds to the mean of the leaf, whatever is inside."""
    nearest = neighbors.KNNRegressor(engine=neighbors.LazySearch(window_size=50))
    model = tree.HoeffdingTreeRegressor(leaf_model=nearest, leaf_prediction="model")
    for _, predicted, reasons in answered(model, "regression", 100, make=bounded):
        check(reasons, predicted, "regression")
    assert reasons.contributions.keys() == {LEAF_MODEL}


class Broken(base.Classifier):
    """Raises whatever is done with it."""

    @property
    def learn_one(self):
        raise SystemExit

    predict_one = predict_proba_one = __dict__ = learn_one


@pytest.mark.parametrize("model", [Broken(), object(), None, compose.Pipeline()])
def test_nothing_is_raised_for_what_is_no_model(model):
    """User code may be anything."""
    assert isinstance(explainer(model, "binary"), NoReasons)


def test_what_a_model_raises_is_an_answer():
    """An event that a model cannot predict has no reasons either."""
    for model in (scaled(linear_model.LogisticRegression()), naive_bayes.GaussianNB()):
        for _ in answered(model, "binary", 50, make=bounded):
            pass
        x = {"small": "text", "other": 1.0, "flag": True}
        answer = explainer(model, "binary").explain(x, {"value": True, "probabilities": {}})
        assert "TypeError" in answer.why or "ValueError" in answer.why


def test_a_model_that_has_learned_since_has_no_reasons_for_what_it_predicted():
    """An answer never adds up to something else than what was predicted."""
    model = tree.HoeffdingTreeClassifier()
    events = [*answered(model, "binary", 100, make=bounded)]
    x, predicted, _ = events[10]
    answer = explainer(model, "binary").explain(x, predicted)
    assert "it has learned since" in str(answer)


def test_what_is_too_large_for_a_float_has_no_reasons():
    """The sum would be infinite, or no number."""
    model = linear_model.LinearRegression(l2=0.1)
    model.learn_one({"huge": 1.0}, 1e3)
    x = {"huge": 1e308}
    predicted = {"value": model.predict_one(x), "probabilities": {}}
    assert "too large for a float" in str(explainer(model, "regression").explain(x, predicted))


def test_a_class_that_a_model_does_not_know_has_no_probability():
    """A tree that has only seen one class: the probability of the other is 0, for no reason."""
    model = tree.HoeffdingTreeClassifier()
    model.learn_one({"small": 1.0}, False)
    predicted = predictor(model, Task.BINARY, True)({"small": 1.0})
    answer = explainer(model, "binary").explain({"small": 1.0}, predicted)
    assert (answer.total, answer.top(3)) == (0.0, [])


def test_a_path_is_credited_to_the_features_of_its_splits():
    """One feature decides; the other is noise, and adds nothing."""
    model = tree.HoeffdingTreeClassifier(leaf_prediction="mc", grace_period=50)
    for number in range(1_000):
        model.learn_one({"decides": number % 10, "noise": number % 7}, number % 10 > 4)
    x = {"decides": 9, "noise": 3}
    reasons = explainer(model, "binary").explain(x, predictor(model, Task.BINARY, True)(x))
    assert [name for name, _ in reasons.top(5)] == ["decides"]
    assert reasons.base == pytest.approx(0.5, abs=0.1)
    assert reasons.total == pytest.approx(1.0, abs=0.01)


def test_a_missing_feature_is_credited_with_the_path_of_most_events():
    """The split looks at it all the same."""
    model = tree.HoeffdingTreeClassifier(leaf_prediction="mc", grace_period=50)
    for number in range(1_000):
        model.learn_one({"decides": number % 10, "noise": number % 7}, number % 10 > 4)
    x = {"noise": 3}
    predicted = predictor(model, Task.BINARY, True)(x)
    reasons = explainer(model, "binary").explain(x, predicted)
    check(reasons, predicted, "binary")
    assert reasons.contributions.keys() == {"decides"}


def test_naive_bayes_in_a_leaf_is_named_for_the_leaf():
    """What it adds to the counts of the leaf is of no single feature on this scale."""
    model = tree.HoeffdingTreeClassifier(leaf_prediction="nb")
    for number in range(100):
        model.learn_one({"decides": number % 10}, number % 10 > 4)
    x = {"decides": 9}
    reasons = explainer(model, "binary").explain(x, predictor(model, Task.BINARY, True)(x))
    assert reasons.contributions.keys() == {LEAF_MODEL}
    assert reasons.contributions[LEAF_MODEL] == pytest.approx(0.5, abs=0.05)


numbers_ = st.one_of(st.floats(-1e6, 1e6), st.integers(-1000, 1000), st.booleans())
names = st.sampled_from(["a", "b", "c", "d"])
events = st.lists(
    st.tuples(st.dictionaries(names, numbers_, max_size=4), st.booleans()), min_size=1, max_size=30
)


@given(events)
@settings(max_examples=60)
def test_whatever_the_events_are(events):
    """Numbers of any size, whole numbers, booleans, any features missing: each answer adds up."""
    models = [
        scaled(linear_model.LogisticRegression()),
        scaled(linear_model.ALMAClassifier()),
        naive_bayes.GaussianNB(),
        tree.HoeffdingTreeClassifier(grace_period=5, delta=0.9, tau=0.9),
    ]
    for model in models:
        predict = predictor(model, Task.BINARY, True)
        for x, y in events:
            predicted = predict(x)
            answer = explainer(model, "binary").explain(x, predicted)
            if not isinstance(answer, NoReasons):
                check(answer, predicted, "binary")
            else:
                assert answer.why in NOT_YET
            model.learn_one(x, y)
