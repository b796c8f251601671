"""Prequential evaluation: every prediction is tested against its label before the label is learned.

The learning operator feeds each example's predicted predictions here, of the champion, of the other
models and of the baselines alike. Cumulative metrics are River's own objects, fed as River's
`progressive_val_score` feeds them, so that they agree with it to the last digit. Rolling metrics
show how a model does now.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from itertools import compress
from math import fsum
from operator import eq, sub
from typing import Any

from river import metrics as river_metrics

from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError
from millrace.schemas.records import LabelValue, Predicted

_river: Any = river_metrics  # has types for a part of what it holds
_DEFAULTS: Mapping[Task, tuple[type[Any], ...]] = {
    Task.BINARY: (_river.Accuracy, _river.F1),
    Task.MULTICLASS: (_river.Accuracy, _river.MacroF1, _river.CohenKappa),
    Task.REGRESSION: (_river.MAE, _river.RMSE, _river.R2),
    Task.ANOMALY: (_river.ROCAUC,),
}
_CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS})
_MEASURED_AT_A_TIME = 256
_SILENCE: Predicted = {"value": None, "probabilities": {}}
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]|AUC)")


class Prequential:
    """The metrics of each model of a pipeline, over all examples and over the newest.

    A model that had nothing to say of an event (a value of None) is not measured by it.

    Parameters
    ----------
    task
        What is predicted; decides the rolling metric (accuracy, MAE or ROC AUC).
    names
        The models.
    metrics
        Name to a callable that returns a fresh River metric; None for the task's own: accuracy,
        F1 and log loss; accuracy, macro F1 and Cohen's kappa; MAE, RMSE and R2; ROC AUC.
    rolling_window
        Examples in the rolling metrics.

    Raises
    ------
    DefinitionError
        A metric that cannot measure the task.

    Examples
    --------
    >>> scores = Prequential("binary", ["tree"], metrics=None, rolling_window=2)
    >>> for label, value in [(True, False), (True, True), (False, False)]:
    ...     scores.update("tree", label, {"value": value, "probabilities": {}})
    >>> scores.cumulative()
    {'tree': {'accuracy': 0.666..., 'f1': 0.666...}}
    >>> scores.rolling(), scores.examples
    ({'tree': {'accuracy': 1.0}}, {'tree': 3})
    """

    def __init__(
        self,
        task: Task | str,
        names: Iterable[str],
        metrics: Mapping[str, Callable[[], Any]] | None,
        rolling_window: int,
    ) -> None:
        task = Task(task)
        if metrics is None:
            metrics = {metric_name(each): each for each in _DEFAULTS[task]}
        self._scores = {name: _Scores(task, metrics, rolling_window) for name in names}
        self._unmeasured: list[tuple[LabelValue, dict[str, Predicted]]] = []

    @property
    def examples(self) -> dict[str, int]:
        """How many examples each model has been measured by."""
        self._measure()
        return {name: scores.examples for name, scores in self._scores.items()}

    def update(self, name: str, label: LabelValue, predicted: Predicted) -> None:
        """Measure one prediction of the model `name`.

        Parameters
        ----------
        name
            One of the models.
        label
            As `Task.label` returns it.
        predicted
            What the model said, before it learned the label.
        """
        self._measure()
        self._scores[name].update_all([label], [predicted])

    def update_all(self, label: LabelValue, predicted: dict[str, Predicted]) -> None:
        """Measure one prediction of every model.

        They are measured some hundred at a time, one model after the other, which comes to the
        same and is a third faster: the processor keeps one metric's code at hand.
        """
        self._unmeasured.append((label, predicted))
        if len(self._unmeasured) >= _MEASURED_AT_A_TIME:
            self._measure()

    def __getstate__(self) -> dict[str, Any]:
        self._measure()
        return vars(self)

    def _measure(self) -> None:
        unmeasured, self._unmeasured = self._unmeasured, []
        labels = [label for label, _ in unmeasured]
        for name, scores in self._scores.items():
            scores.update_all(labels, [each.get(name, _SILENCE) for _, each in unmeasured])

    def cumulative(self) -> dict[str, dict[str, float]]:
        """Return model to metric to value, over all examples.

        A metric that has measured nothing is absent: River would show it as 0.
        """
        self._measure()
        return {name: scores.cumulative() for name, scores in self._scores.items()}

    def rolling(self) -> dict[str, dict[str, float]]:
        """Return model to metric to value, over the newest examples."""
        self._measure()
        return {name: scores.rolling() for name, scores in self._scores.items()}


class _Scores:
    """The metrics of one model.

    Metrics that look at the value are apart from those that look at the probabilities, which
    not every prediction has. Those that are functions of a confusion matrix share one.
    """

    def __init__(
        self, task: Task, factories: Mapping[str, Callable[[], Any]], rolling_window: int
    ) -> None:
        matrix = _river.ConfusionMatrix()
        shared = {name for name, each in factories.items() if _reads_matrix(each, task)}
        self._task = task
        self._metrics = {
            name: each(cm=matrix) if name in shared else each()  # type: ignore[call-arg]
            for name, each in factories.items()
        }
        for name, metric in self._metrics.items():
            _check_metric(name, metric, task)
        self._matrix = matrix if shared else None
        own = {name: each for name, each in self._metrics.items() if name not in shared}
        self._of_probabilities = [
            name
            for name, each in own.items()
            if task.is_classification and not each.requires_labels
        ]
        self._by_value = [each for name, each in own.items() if name not in self._of_probabilities]
        self._by_probabilities = [own[name] for name in self._of_probabilities]
        self._newest: deque[Any] = deque(maxlen=rolling_window)
        self.examples = 0
        self._examples_with_probabilities = 0

    def update_all(self, labels: list[LabelValue], said: list[Predicted]) -> None:
        """Measure predictions against their labels, in order."""
        values: list[Any] = [predicted["value"] for predicted in said]
        if None in values:
            spoken = [value is not None for value in values]
            labels, said = [*compress(labels, spoken)], [*compress(said, spoken)]
            values = [*compress(values, spoken)]
        self.examples += len(values)
        if self._matrix is not None:
            _count(zip(labels, values, strict=True), self._matrix)
        for metric in self._by_value:
            for label, value in zip(labels, values, strict=True):
                metric.update(label, value)
        if self._by_probabilities:
            for label, predicted in zip(labels, said, strict=True):
                if predicted["probabilities"]:
                    self._update_by_probabilities(label, predicted["probabilities"])
        if self._task is Task.REGRESSION:
            self._newest.extend(map(abs, map(sub, labels, values)))
        elif self._task is Task.ANOMALY:
            self._newest.extend(zip(labels, values, strict=True))
        else:
            self._newest.extend(map(eq, labels, values))

    def cumulative(self) -> dict[str, float]:
        if not self.examples:
            return {}
        unmeasured = () if self._examples_with_probabilities else self._of_probabilities
        metrics = deepcopy(self._metrics)  # River's matrix keeps a zero for whatever it is asked
        return {name: float(each.get()) for name, each in metrics.items() if name not in unmeasured}

    def rolling(self) -> dict[str, float]:
        if not self._newest:
            return {}
        if self._task is Task.ANOMALY:
            return self._rolling_roc_auc()
        name = "mae" if self._task is Task.REGRESSION else "accuracy"
        return {name: fsum(self._newest) / len(self._newest)}

    def _update_by_probabilities(self, label: LabelValue, probabilities: dict[str, float]) -> None:
        self._examples_with_probabilities += 1
        if self._task is Task.BINARY:
            by_class: dict[Any, float] = {
                False: probabilities.get("False", 0.0),
                True: probabilities.get("True", 0.0),
            }
        else:  # of many classes, the label is named as text, as they are
            label, by_class = str(label), dict(probabilities)
        for metric in self._by_probabilities:
            metric.update(label, by_class)

    def _rolling_roc_auc(self) -> dict[str, float]:
        if len({label for label, _ in self._newest}) < 2:
            return {}  # there is no order between anomalies and the rest to be measured
        metric = _river.RollingROCAUC(window_size=len(self._newest))
        for label, score in self._newest:
            metric.update(label, score)
        return {"roc_auc": float(metric.get())}


def _count(pairs: Iterable[tuple[Any, Any]], matrix: Any) -> None:
    """Add labels and what was predicted to a confusion matrix.

    Equal pairs are added together, at a tenth of the cost: whole numbers lose nothing by it.
    """
    for (label, value), count in Counter(pairs).items():
        matrix.update(label, value, count)
        matrix.n_samples += count - 1


def loss(task: Task | str, label: LabelValue | None, value: LabelValue | None) -> float | None:
    """Return how wrong a prediction was, or None where it or the label is missing.

    Returns
    -------
    float or None
        0 or 1 for a class, the absolute error for a number, and for an anomaly the distance of
        the score from the label, in [0, 1].

    Examples
    --------
    >>> loss("multiclass", "sky", "grass"), loss("regression", 3.0, 2.5)
    (1.0, 0.5)
    """
    if label is None or value is None:
        return None
    if task in _CLASSIFICATION:
        return 0.0 if label == value else 1.0
    error = abs(label - value)  # type: ignore[operator] # both are numbers
    return float(min(error, 1.0) if task == Task.ANOMALY else error)


def losses(task: Task, label: LabelValue, predicted: Mapping[str, Predicted]) -> dict[str, float]:
    """Return the loss of each candidate that made a prediction, by name.

    Examples
    --------
    >>> tree = Predicted(value="cloudy", probabilities={})
    >>> untrained = Predicted(value=None, probabilities={})
    >>> losses(Task.MULTICLASS, "sunny", {"tree": tree, "untrained": untrained})
    {'tree': 1.0}
    """
    if task in _CLASSIFICATION:
        return {
            name: 0.0 if value == label else 1.0
            for name, each in predicted.items()
            if (value := each["value"]) is not None
        }
    found = ((name, loss(task, label, each["value"])) for name, each in predicted.items())
    return {name: each for name, each in found if each is not None}


def metric_name(metric: type[Any]) -> str:
    """Return the name that a River metric goes by in Millrace.

    Examples
    --------
    >>> [metric_name(each) for each in (_river.MacroF1, _river.ROCAUC)]
    ['macro_f1', 'roc_auc']
    """
    return _WORD_START.sub("_", metric.__name__).lower()


def measures_probabilities(
    task: Task | str, metrics: Mapping[str, Callable[[], Any]] | None
) -> bool:
    """Whether any of the metrics looks at the probabilities of classes.

    Examples
    --------
    >>> measures_probabilities("binary", {"log_loss": _river.LogLoss})
    True
    >>> measures_probabilities("binary", None)
    False
    """
    made = [each() for each in (metrics or {}).values()]
    return Task(task).is_classification and any(not each.requires_labels for each in made)


def _reads_matrix(factory: Any, task: Task) -> bool:
    """Whether a metric class only reads a confusion matrix that another may keep for it."""
    classifies = isinstance(factory, type) and issubclass(factory, _river.base.ClassificationMetric)
    if not classifies:
        return False
    updates = [_river.base.ClassificationMetric.update]
    if task is Task.BINARY:
        updates.append(_river.base.BinaryMetric.update)  # which only maps labels that are booleans
    return factory.update in updates and "cm" in inspect.signature(factory).parameters


def _check_metric(name: str, metric: Any, task: Task) -> None:
    if task is Task.REGRESSION:
        wanted, fits = "RegressionMetric", isinstance(metric, _river.base.RegressionMetric)
    elif task is Task.ANOMALY:
        wanted = "metric of scores, for example metrics.ROCAUC"
        fits = isinstance(metric, _river.base.BinaryMetric) and not metric.requires_labels
    else:
        wanted, fits = "ClassificationMetric", isinstance(metric, _river.base.ClassificationMetric)
    if not fits:
        raise DefinitionError(
            f"metrics[{name!r}] requires a River {wanted} for the task {task.value!r};"
            f" got {metric!r}"
        )
