"""The reasons of a model's predictions: exact, and without learning anything."""

from __future__ import annotations

from math import isfinite

from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.reasons.family import Question, checked
from millrace.models.reasons.reasons import NoExactReasonsError, NoReasons, Reasons, Scale
from millrace.models.reasons.registry import find
from millrace.models.reasons.shortcuts import shortcut
from millrace.models.user_code import PASSED_ON, told
from millrace.schemas.records import Features, Predicted

_NOTHING = NoReasons("it has predicted nothing yet")
_TOO_LARGE = NoReasons("what a feature adds is too large for a float")
_OTHER = NoReasons("it has learned since, or predicts otherwise than its class says")


class Explainer:
    """Tells what the predictions of one model are made of.

    It has no state of its own, and sees at every call what the model has learned.

    Parameters
    ----------
    model
        A model that has exact reasons; see `explainer`.
    task
        What it predicts. With two classes, answers are always about true, so that a sign means the
        same in each of them; with many, they are about the predicted class.
    """

    def __init__(self, model: Model, task: Task) -> None:
        self._model = model
        self._is_binary = task is Task.BINARY
        self._is_class = task.is_classification
        self._scale = checked(model, find)
        self._explain = find(model).explain
        self._shortcut = shortcut(model)

    @property
    def scale(self) -> Scale:
        """The scale on which all its answers are."""
        return self._scale

    def explain(self, features: Features, predicted: Predicted) -> Reasons | NoReasons:
        """Return what a prediction is made of. It raises nothing that the model raises.

        Parameters
        ----------
        features
            What the model saw, as it was given to `predict_one`. They stay as they are.
        predicted
            What it predicted, before it learned anything else, with the probabilities if there
            are any. The answer is compared with it, and there are no reasons if it does not add up
            to it. Only where a linear model is asked by the shorter way (`shortcuts`), which has to
            be as fast as the prediction, this is left to tests.
        """
        value, short = predicted["value"], self._shortcut
        if short is not None:
            try:
                found = short(features, value)
            except PASSED_ON:
                raise
            except BaseException:  # the long way says what it is
                found = None
            if found is not None:
                return found
        if value is None:
            return _NOTHING
        of = True if self._is_binary else value if self._is_class else None
        try:
            found = self._explain(self._model, features, Question(of, find))
            if found.adds_up_to(predicted):
                return found
            return _OTHER if isfinite(found.total) else _TOO_LARGE
        except PASSED_ON:
            raise
        except NoExactReasonsError as error:
            return NoReasons(str(error))
        except BaseException as error:  # a model is user code, and may raise anything
            return NoReasons(told(error))


def explainer(model: Model, task: Task | str) -> Explainer | NoReasons:
    """Return what tells the reasons of a model, or why there are no exact ones.

    Parameters
    ----------
    model
        Any River model, or one of the user's own; it need not have learned anything yet.
    task
        What it predicts.

    Examples
    --------
    >>> from millrace import catalogue
    >>> model = catalogue.linear_regression()
    >>> for size in range(1, 100):
    ...     model.learn_one({"size": size, "noise": size % 3}, 2.0 * size)
    >>> x = {"size": 80.0, "noise": 1.0}
    >>> predicted = {"value": model.predict_one(x), "probabilities": {}}
    >>> reasons = explainer(model, "regression").explain(x, predicted)
    >>> [(name, round(each)) for name, each in reasons.top(1)], reasons.scale.value
    ([('size', 44)], 'target')
    >>> round(reasons.total - predicted["value"], 9)
    0.0
    >>> print(explainer(catalogue.knn(), "binary"))
    no exact reasons for this model: KNNClassifier is not known to add up over features
    """
    try:
        return Explainer(model, Task(task))
    except PASSED_ON:
        raise
    except NoExactReasonsError as error:
        return NoReasons(str(error))
    except BaseException as error:  # a model is user code, and may raise anything
        return NoReasons(told(error))
