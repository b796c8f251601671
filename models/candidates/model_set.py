"""The models of one scope: the champion, its challengers and the baselines, side by side.

All of them predict every event at its place in the log, and all learn from every example, so
that their metrics can be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from river import base

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.evaluation import loss, measures_probabilities
from millrace.models.candidates.tasks import Task
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Features, LabelValue, Predicted

Predict = Callable[[Features], Predicted]
Learn = Callable[[Features, LabelValue | None], object]

_PLAIN = frozenset({bool, int, str, type(None)})
_COMPILED = frozenset({"_predictors", "_learners"})


class Replacement:
    """A fresh model that learns in the background until it proves better than the one in place.

    The second half of its trial counts: both models' losses on the same examples, each
    predicted before it was learned.
    """

    def __init__(self, model: Any, task: Task, trial: int) -> None:
        self.model = model
        self._task = task
        self._trial = trial
        self._learned = 0
        self._advantage = 0.0

    def learn(self, features: Features, label: LabelValue, incumbent: Predicted) -> None:
        """Test, then learn."""
        if self._learned * 2 >= self._trial:
            own = loss(self._task, label, predictor(self.model, self._task)(features)["value"])
            theirs = loss(self._task, label, incumbent["value"])
            self._advantage += (theirs or 0.0) - (own or 0.0)
        learner(self.model)(features, label)
        self._learned += 1

    @property
    def is_decided(self) -> bool:
        return self._learned >= self._trial

    @property
    def is_better(self) -> bool:
        return self._advantage > 0


class ModelSet:
    """Every model of a pipeline, fresh from its factory, and how much they have learned.

    Parameters
    ----------
    pipeline
        The definition.

    Attributes
    ----------
    version
        Examples learned from: a model is a function of its definition and that many examples.
    failures
        Challenger to how often it raised; a challenger that raises does not stop the champion.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.task = Task(pipeline.task)
        self.champion = pipeline.champion
        self.models = {name: factory() for name, factory in pipeline.models.items()}
        self.models |= baselines(self.task)
        # They cost as much as a small model, and only the champion's are published.
        self.asks_probabilities = measures_probabilities(self.task, pipeline.metrics)
        self.version = 0
        self.replacements: dict[str, Replacement] = {}
        self.failures: Counter[str] = Counter()
        self._compile()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _COMPILED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._compile()

    def predict(self, features: Features) -> dict[str, Predicted]:
        """Return what each model says, the champion first. Changes nothing.

        Raises
        ------
        Exception
            Whatever the champion raises.
        """
        predicted = {}
        for name, predict in self._predictors:
            try:
                predicted[name] = predict(features)
            except Exception:
                if name == self.champion:
                    raise
                self.failures[name] += 1
                predicted[name] = Predicted(value=None, probabilities={})
        return predicted

    def learn(
        self, features: Features, label: LabelValue | None, predicted: dict[str, Predicted]
    ) -> None:
        """Let every model learn from one example.

        Raises
        ------
        Exception
            Whatever the champion raises, once the others have learned.
        """
        self.version += 1
        raised = None
        for name, learn_one in self._learners:
            try:
                learn_one(features, label)
            except Exception as error:  # a user's model may raise anything
                self.failures[name] += 1
                raised = error if name == self.champion else raised
        for name in [*self.replacements] if self.replacements else ():
            self._try_out(name, features, label, predicted)
        if raised is not None:
            raise raised

    def react(self, name: str, policy: DriftPolicy, pipeline: Pipeline) -> None:
        """Do what the policy says about a model whose loss has drifted."""
        if policy is DriftPolicy.RESET:
            self._put(name, pipeline.models[name]())
        elif policy is DriftPolicy.REPLACE:
            fresh = pipeline.models[name]()
            trial = pipeline.drift.replacement_after
            self.replacements[name] = Replacement(fresh, self.task, trial)

    def _try_out(
        self,
        name: str,
        features: Features,
        label: LabelValue | None,
        predicted: dict[str, Predicted],
    ) -> None:
        replacement = self.replacements[name]
        try:
            if label is not None:
                replacement.learn(features, label, predicted[name])
        except Exception:  # it is not in place: the model that is goes on
            self.failures[name] += 1
            del self.replacements[name]
            return
        if replacement.is_decided:
            del self.replacements[name]
            if replacement.is_better:
                self._put(name, replacement.model)

    def _put(self, name: str, model: Any) -> None:
        self.models[name] = model
        self._compile()

    def _compile(self) -> None:
        """Find out once, not at every event, how each model is asked and taught."""
        self._predictors = [
            (name, predictor(model, self.task, self.asks_probabilities or name == self.champion))
            for name, model in self.models.items()
        ]
        self._learners = [(name, learner(model)) for name, model in self.models.items()]


def learner(model: Any) -> Learn:
    """Return the function that teaches `model` an example, with the label or without."""
    if model._supervised:
        return model.learn_one  # type: ignore[no-any-return]  # River gives it no type
    return lambda x, _: model.learn_one(x)


def predictor(model: Any, task: Task, probabilities: bool = False) -> Predict:
    """Return the function that asks `model` for a value and, if wanted, for probabilities.

    The value is the same either way, and probabilities stay empty where the model has none.
    """
    if task is Task.ANOMALY:
        return lambda x: {"value": float(model.score_one(x)), "probabilities": {}}
    predict_one = model.predict_one
    if task is Task.REGRESSION:
        return lambda x: {"value": _number(predict_one(x)), "probabilities": {}}
    last = type(getattr(model, "_last_step", model))
    if not probabilities or last.predict_proba_one is base.Classifier.predict_proba_one:
        return lambda x: {"value": _plain(predict_one(x)), "probabilities": {}}
    predict_proba_one = model.predict_proba_one
    if last.predict_one is base.Classifier.predict_one:
        return lambda x: _likeliest(predict_proba_one(x))
    return lambda x: {
        "value": _plain(predict_one(x)),
        "probabilities": _by_name(predict_proba_one(x)),
    }


def _plain(value: Any) -> Any:
    """Turn a NumPy scalar into Python's own, which is what goes over the wire."""
    return value.item() if type(value) not in _PLAIN and hasattr(value, "item") else value


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _by_name(probabilities: dict[Any, float]) -> dict[str, float]:
    return {str(label): probability for label, probability in probabilities.items()}


def _likeliest(probabilities: dict[Any, float]) -> Predicted:
    """Choose as River's own `Classifier.predict_one` does: the first of the likeliest."""
    value = max(probabilities, key=probabilities.__getitem__) if probabilities else None
    return {"value": _plain(value), "probabilities": _by_name(probabilities)}
