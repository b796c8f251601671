"""Candidates, baselines and challengers predict and learn side by side."""

from __future__ import annotations

import pickle
from collections import deque

import pytest
from river import (
    anomaly,
    base,
    dummy,
    linear_model,
    metrics,
    naive_bayes,
    preprocessing,
    tree,
)

from millrace.models.candidates.model_set import ModelSet, NoPredictionError
from millrace.models.monitoring.drift import DriftPolicy, DriftSettings
from millrace.models.pipeline.comparison_losses import comparison_loss, own_loss
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.trial import MIN_LABELS, MOST_LABELS, Verdict
from millrace.schemas.records import Predicted

X = {"a": 1.0, "b": -2.0}
NOTHING = Predicted(value=None, probabilities={})


class Recorder(base.Classifier):
    """Predicts how often it has learned, and raises at what has the feature `bad`."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def learn_one(self, x, y):
        if "bad" in x:
            raise ValueError("cannot learn")
        self.seen.append(y)

    def predict_one(self, x):
        if "bad" in x:
            raise ValueError("cannot predict")
        return len(self.seen)


class Counter(Recorder):
    """The same for many classes."""

    @property
    def _multiclass(self):
        return True


class First(base.Classifier):
    """Predicts the first label that it has learned, and cannot begin with what is `bad`."""

    def __init__(self) -> None:
        self.label: object = None

    def learn_one(self, x, y):
        if x.get("bad") and self.label is None:
            raise ValueError("cannot begin")
        self.label = y if self.label is None else self.label

    def predict_one(self, x):
        if x.get("hidden"):
            raise ValueError("cannot predict")
        return self.label


class Slow(base.Classifier):
    """Predicts False until it has learned five times, and True from then on."""

    def __init__(self) -> None:
        self.learned = 0

    def learn_one(self, x, y):
        self.learned += 1

    def predict_one(self, x):
        return self.learned >= 5


def compare(models: ModelSet, label: object, predicted: dict[str, Predicted]) -> None:
    """Compare what was predicted at an event; no event before it waits for its label."""
    models.compare(own_loss(models.task).of_each(label, predicted), block=0, settled=1)


def step(models: ModelSet, label: object, **x: float) -> dict[str, Predicted]:
    """Let the models predict an event and learn it; return what they predicted."""
    predicted = models.predict(X | x)
    compare(models, label, predicted)
    models.learn(X | x, label)
    return predicted


def baseline(models: ModelSet, name: str) -> Predicted:
    """Return what a baseline predicts now."""
    return models.answer_baselines()[name][-1]


def run(models: ModelSet, label: object, count: int, **x: float) -> list[object]:
    """Do that `count` times, and return what the champion predicted."""
    return [step(models, label, **x)[models.champion]["value"] for _ in range(count)]


class TestPredictingAndLearning:
    def test_all_predict_and_all_learn(self, make_pipeline):
        """The champion and the other candidates, in this order; two baselines beside them."""
        models = ModelSet(make_pipeline({"first": Counter, "second": Counter}, "multiclass"))
        assert [*models.predict(X)] == ["first", "second"]
        assert [*models.models] == ["first", "second", "no_change", "prior"]
        assert models.champion == "first"
        for i in range(3):
            predicted = step(models, True)
            assert predicted["first"]["value"] == predicted["second"]["value"] == i
        assert models.version == 3
        assert baseline(models, "no_change")["value"] is True
        assert models.failures == {}

    def test_baselines_learn_when_they_are_asked(self, make_pipeline):
        """What they would have predicted before each label, and after the last."""
        models = ModelSet(make_pipeline({"own": Counter}, "multiclass"))
        for label in ("sky", "grass", "grass"):
            models.learn(X, label)
        assert models.pending_labels == 3
        answers = models.answer_baselines()
        assert models.pending_labels == 0
        assert [each["value"] for each in answers["no_change"]] == [None, "sky", "grass", "grass"]
        assert [each["value"] for each in answers["prior"]] == [None, "sky", "sky", "grass"]
        assert [each["value"] for each in models.answer_baselines()["prior"]] == ["grass"]

    @pytest.mark.parametrize("metric", [metrics.Accuracy, metrics.LogLoss])
    def test_saving_teaches_baselines(self, make_pipeline, metric):
        """Nothing that a label has taught is lost with the process."""
        models = ModelSet(make_pipeline({"own": naive_bayes.GaussianNB}, metrics={"m": metric}))
        models.learn(X, True)
        again = pickle.loads(pickle.dumps(models))
        assert again.pending_labels == 0
        assert baseline(again, "prior")["value"] is baseline(models, "prior")["value"] is True

    def test_predicting_changes_nothing(self, make_pipeline):
        """However often models predict, they stay the same, even for features not seen before."""
        models = ModelSet(make_pipeline({"own": tree.HoeffdingTreeClassifier}))
        for i in range(50):
            models.learn({"a": float(i)}, i % 2 == 0)
        before = models.predict(X)
        for x in (X, {}, {"new": 1.0}, {"a": "text"}):
            models.predict(x)
        assert models.predict(X) == before
        assert models.version == 50

    def test_models_are_fresh(self, make_pipeline):
        """Two sets of one pipeline share nothing."""
        definition = make_pipeline({"own": Recorder})
        first, second = ModelSet(definition), ModelSet(definition)
        step(first, True)
        assert (first.models["own"].seen, second.models["own"].seen) == ([True], [])

    def test_a_candidate_that_raises_predicts_nothing(self, make_pipeline):
        """Its failures are counted, and the champion is not stopped."""
        definition = make_pipeline({"own": linear_model.LogisticRegression, "brittle": Recorder})
        models = ModelSet(definition)
        predicted = step(models, True, bad=1.0)
        assert predicted["brittle"] == NOTHING
        assert predicted["own"]["value"] is not None
        assert models.failures == {"brittle": 2}
        assert models.models["own"].weights != {}

    def test_a_champion_that_raises(self, make_pipeline):
        """Its error is for the caller; the others have predicted and learned all the same."""
        definition = make_pipeline({"brittle": Recorder, "other": linear_model.LogisticRegression})
        models = ModelSet(definition)
        with pytest.raises(NoPredictionError) as raised:
            models.predict({**X, "bad": 1.0})
        assert str(raised.value.__cause__) == "cannot predict"
        assert raised.value.predicted["other"]["value"] is not None
        assert models.failures == {"brittle": 1}
        with pytest.raises(ValueError, match="cannot learn"):
            models.learn({**X, "bad": 1.0}, True)
        assert models.failures == {"brittle": 2}
        assert models.models["other"].weights != {}
        assert models.version == 1

    def test_models_without_labels_learn_from_features(self, make_pipeline):
        """Anomaly detectors learn from an event without a label; baselines wait for one."""
        models = ModelSet(
            make_pipeline({"own": lambda: anomaly.HalfSpaceTrees(window_size=2, seed=1)}, "anomaly")
        )
        for a in (0.1, 0.2, 0.3, 0.4):
            models.learn({"a": a}, None)
        assert models.predict({"a": 0.9})["own"]["value"] > 0.0
        assert baseline(models, "prior")["value"] == 0.0
        assert models.version == 4

    @pytest.mark.parametrize(
        ("metric", "expected"), [(None, False), (metrics.Accuracy, False), (metrics.LogLoss, True)]
    )
    def test_probabilities_are_there_where_they_are_published_or_measured(
        self, make_pipeline, metric, expected
    ):
        """The champion's always; another candidate's where a metric needs them."""
        factories = {"own": naive_bayes.GaussianNB, "other": naive_bayes.GaussianNB}
        chosen = None if metric is None else {"m": metric}
        models = ModelSet(make_pipeline(factories, metrics=chosen))
        for i in range(10):
            models.learn({"a": float(i)}, i > 5)
        predicted = models.predict({"a": 1.0})
        assert predicted["own"]["probabilities"]
        assert bool(predicted["other"]["probabilities"]) is expected
        assert bool(baseline(models, "prior")["probabilities"]) is expected
        assert predicted["own"]["value"] == predicted["other"]["value"]

    def test_all_give_probabilities_where_they_are_compared_by_them(self, make_pipeline):
        """Challengers, too, that come before or after; a metric alone does not need theirs."""
        factories = {"own": naive_bayes.GaussianNB, "other": naive_bayes.GaussianNB}
        settings = DriftSettings(replacement_after=2)
        definition = make_pipeline(factories, drift=settings)
        models = ModelSet(definition)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        compared = make_pipeline(factories, drift=settings)
        loss = comparison_loss("brier", Task.BINARY, compared.allowed_labels)
        vars(compared)["comparison_loss"] = loss
        models.learn(X, True)
        assert [bool(each["probabilities"]) for each in models.predict(X).values()] == [
            *(True, False),  # the champion alone
            False,
        ]
        models.serve_by("own", compared)
        models.handle_drift("other", DriftPolicy.REPLACE, compared)
        models.learn(X, True)
        predicted = models.predict(X)
        assert len(predicted) == 4
        assert all(each["probabilities"] for each in predicted.values())
        assert baseline(models, "no_change")["probabilities"] == {"True": 1.0}
        assert baseline(models, "prior")["probabilities"] == {"True": 1.0}
        assert baseline(ModelSet(compared), "prior")["probabilities"] == {}


@pytest.fixture
def trained(make_pipeline):
    """Make models whose only candidate predicts True for ever, and their definition."""

    def make(examples: int = 10) -> tuple[ModelSet, object]:
        settings = DriftSettings(replacement_after=examples)
        definition = make_pipeline({"own": First}, drift=settings)
        models = ModelSet(definition)
        models.learn(X, True)
        return models, definition

    return make


class TestHandlingDrift:
    def test_alert_changes_nothing(self, trained):
        """The policy `alert` leaves the model as it is."""
        models, definition = trained()
        models.handle_drift("own", DriftPolicy.ALERT, definition)
        assert run(models, False, 30) == [True] * 30
        assert models.challengers == {}

    def test_reset_puts_a_fresh_model_in_place(self, trained):
        """The policy `reset` acts at once; the version is not reset."""
        models, definition = trained()
        models.handle_drift("own", DriftPolicy.RESET, definition)
        assert run(models, False, 3) == [None, False, False]
        assert models.version == 4

    def test_a_reset_champion_has_probabilities(self, make_pipeline):
        """They are published with its predictions."""
        definition = make_pipeline({"own": naive_bayes.GaussianNB})
        models = ModelSet(definition)
        models.handle_drift("own", DriftPolicy.RESET, definition)
        models.learn(X, True)
        assert models.predict(X)["own"]["probabilities"] == {"True": 1.0}

    def test_a_challenger_that_does_better_takes_the_place(self, trained):
        """The policy `replace` swaps the models once the trial is decided, and not before."""
        models, definition = trained(examples=10)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        assert run(models, False, 57) == [True] * (5 + MIN_LABELS) + [False] * 2
        assert models.challengers == {}
        assert [*models.predict(X)] == ["own"]

    def test_a_challenger_predicts_after_its_warm_up(self, trained):
        """Beside the candidates, under a name of its own."""
        models, definition = trained(examples=4)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        names = [[*step(models, True)][1:] for _ in range(3)]
        assert names == [[], [], ["own.challenger@1"]]

    def test_a_challenger_without_advantage_is_dropped(self, trained):
        """A tie keeps the incumbent, and does not go on for ever."""
        models, definition = trained(examples=4)
        own = models.models["own"]
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        assert run(models, True, 2 + MOST_LABELS) == [True] * (2 + MOST_LABELS)
        assert models.models["own"] is own
        assert models.challengers == {}

    def test_a_worse_challenger_is_dropped(self, trained):
        """The incumbent stays the same model."""
        models, definition = trained(examples=10)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        run(models, False, 1)
        assert run(models, True, 54) == [True] * 54
        assert models.challengers == {}

    def test_the_warm_up_does_not_count(self, make_pipeline):
        """A challenger is not judged by what it predicted while it had learned little."""
        definition = make_pipeline({"own": Slow}, drift=DriftSettings(replacement_after=10))
        models = ModelSet(definition)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        incumbent = models.models["own"]
        for i in range(5 + MIN_LABELS):
            own = Predicted(value=i < 5, probabilities={})
            predicted = models.predict(X) | {"own": own}
            compare(models, True, predicted)
            models.learn(X, True)
        assert models.models["own"] is not incumbent

    def test_a_challenger_that_has_won_predicts_probabilities(self, make_pipeline):
        """As the champion did whose place it takes."""
        definition = make_pipeline(
            {"own": naive_bayes.GaussianNB}, drift=DriftSettings(replacement_after=2)
        )
        models = ModelSet(definition)
        for _ in range(100):
            models.learn(X, True)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        run(models, False, 1 + MIN_LABELS)
        assert models.predict(X)["own"] == {"value": False, "probabilities": {"False": 1.0}}

    def test_a_challenger_that_cannot_learn_is_dropped(self, trained):
        """It is counted as a failure of the candidate, which is not stopped."""
        models, definition = trained(examples=10)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        assert run(models, False, 12, bad=1.0) == [True] * 12
        assert models.challengers == {}
        assert models.failures == {"own": 1}
        assert models.version == 13

    def test_a_challenger_that_cannot_predict_loses(self, make_pipeline):
        """Each failure is counted for the candidate whose place it competes for."""
        settings = DriftSettings(replacement_after=4)
        definition = make_pipeline({"other": Slow, "own": First}, drift=settings)
        models = ModelSet(definition)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        run(models, True, 2)
        (challenger,) = models.challengers.values()
        assert models.predict(X | {"hidden": 1.0})[challenger.name] == NOTHING
        assert models.failures == {"own": 2}
        run(models, True, MIN_LABELS, hidden=1.0)
        assert [*models.challengers] == ["own"]  # both raise at each
        for _ in range(2 * MIN_LABELS):
            predicted = models.predict(X | {"hidden": 1.0})
            predicted["own"] = Predicted(value=True, probabilities={})
            compare(models, True, predicted)
            models.learn(X, True)
            if not models.challengers:
                break
        assert models.challengers == {}

    def test_a_second_drift_restarts_the_trial(self, trained):
        """With another fresh model."""
        models, definition = trained(examples=10)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        run(models, False, 50)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        assert run(models, False, 57) == [True] * (5 + MIN_LABELS) + [False] * 2

    def test_each_candidate_has_a_challenger_of_its_own(self, make_pipeline):
        """One may win while the other is undecided."""
        definition = make_pipeline(
            {"own": First, "other": First}, drift=DriftSettings(replacement_after=2)
        )
        models = ModelSet(definition)
        models.learn(X, True)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        run(models, False, 1)
        models.handle_drift("other", DriftPolicy.REPLACE, definition)
        run(models, False, MIN_LABELS)
        assert [*models.challengers] == ["other"]
        found = {name: each["value"] for name, each in models.predict(X).items()}
        assert (found["own"], found["other"]) == (False, True)
        assert found["other.challenger@2"] is False


class TestDelayedLabels:
    def test_a_worse_model_does_not_win_by_predicting_late(self, make_pipeline):
        """A challenger is compared by what it predicted at the event, and not at the label.

        Labels alternate in blocks of eight, and come eight events late. A model that repeats the
        last label is then right at the label, and wrong at the event.
        """
        definition = make_pipeline(
            {"own": dummy.NoChangeClassifier}, drift=DriftSettings(replacement_after=60)
        )
        models = ModelSet(definition)
        constant = First()
        constant.learn_one(X, True)
        models.candidates["own"] = models.candidates["own"].with_model(constant)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        waiting: deque[dict[str, Predicted]] = deque()
        right_at_the_label = 0
        for i in range(400):
            if i >= 8:
                label = (i - 8) // 8 % 2 == 0
                predicted = waiting.popleft()
                for challenger in models.challengers.values():
                    right_at_the_label += challenger.model.predict_one(X) is label
                compare(models, label, predicted)
                models.learn(X, label)
            waiting.append(models.predict(X))
        assert models.models["own"] is constant
        assert models.challengers == {}
        assert right_at_the_label > 50

    def test_events_from_before_the_warm_up_are_not_compared(self, trained):
        """Their labels come when the challenger already predicts."""
        models, definition = trained(examples=2)
        early = models.predict(X)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        models.learn(X, False)
        for _ in range(2 * MIN_LABELS):
            compare(models, False, early)
        assert [*models.challengers] == ["own"]
        run(models, False, MIN_LABELS)
        assert models.challengers == {}

    def test_what_an_earlier_challenger_predicted_is_not_compared(self, trained):
        """A drift during a trial starts another one; the first one's events get labels later."""
        models, definition = trained(examples=2)
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        models.learn(X, False)
        predicted = models.predict(X)
        assert len(predicted) == 2
        models.handle_drift("own", DriftPolicy.REPLACE, definition)
        models.learn(X, False)
        for _ in range(2 * MIN_LABELS):
            compare(models, False, predicted)
        assert [*models.challengers] == ["own"]


MODELS = {
    "binary": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "multiclass": tree.HoeffdingTreeClassifier,
    "regression": linear_model.LinearRegression,
    "anomaly": lambda: anomaly.HalfSpaceTrees(n_trees=3, window_size=10, seed=1),
}


def stream(task: str, count: int) -> list[tuple[dict[str, float], object]]:
    made: list[tuple[dict[str, float], object]] = []
    for i in range(count):
        a, b = (i * 37 % 101) / 50 - 1, (i * 53 % 97) / 50 - 1
        label = {"regression": a - b, "multiclass": "xyz"[int(a > b) + int(a > 0.5)]}
        made.append(({"a": a, "b": b}, label.get(task, a > b)))
    return made


@pytest.mark.parametrize("task", MODELS)
def test_saved_models_continue_as_if_they_had_not_been_saved(task, make_pipeline):
    """They predict, compare and learn the same, challengers included."""
    settings = DriftSettings(replacement_after=20)
    definition = make_pipeline({"own": MODELS[task], "other": MODELS[task]}, task, drift=settings)
    models, rows = ModelSet(definition), stream(task, 90)
    for x, y in rows[:30]:
        step(models, y, **x)
    models.handle_drift("other", DriftPolicy.REPLACE, definition)
    for x, y in rows[30:45]:
        step(models, y, **x)
    loaded = pickle.loads(pickle.dumps(models))
    assert [*loaded.challengers] == ["other"]
    for x, y in rows[45:]:
        assert step(loaded, y, **x) == step(models, y, **x)
    assert (loaded.version, loaded.champion, loaded.task) == (90, "own", task)
    (ours,), (theirs,) = models.challengers.values(), loaded.challengers.values()
    assert ours.evidence == theirs.evidence
    assert ours.evidence["compared"] == 50
    assert ours.verdict is Verdict.UNDECIDED
