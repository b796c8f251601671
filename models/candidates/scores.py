"""The metrics of one model: River's over all examples, and one over the newest."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import compress
from math import fsum
from operator import eq, not_, sub
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from river import metrics
from river.metrics.base import Metric

from millrace.models.candidates.metric_columns import update_column
from millrace.models.candidates.metrics import reads_confusion_matrix
from millrace.models.candidates.ordered import ConfusionMatrix, order_matrices
from millrace.models.pipeline.metrics import MetricFactory, check_metric, reads_probabilities
from millrace.models.pipeline.tasks import Task
from millrace.models.sealed import Fields, Lost, Sealed
from millrace.models.user_code import PASSED_ON, contained, scalar
from millrace.schemas.records import LabelValue, Probabilities

_LARGEST = 1e150  # its square is still a float
_NUMBERS = frozenset({float, int, bool})
_FEW = 4  # pairs that are counted faster by themselves


class PredictedColumn(NamedTuple):
    """What one model predicted for each of several events."""

    values: Sequence[LabelValue | None]
    probabilities: Sequence[Probabilities] | None = None
    """None where no metric looks at them."""

    def part(self, places: slice) -> PredictedColumn:
        """Return what was predicted for some of the events."""
        probabilities = self.probabilities
        return PredictedColumn(self.values[places], probabilities and probabilities[places])


class Scores:
    """Measures the predictions of one model.

    Metrics that look at the value are apart from those that look at the probabilities, which
    not every prediction has. Those that are functions of a confusion matrix share one.

    Parameters
    ----------
    task
        What the model predicts; decides the rolling metric (accuracy, MAE or ROC AUC).
    factories
        Name to a callable that returns a fresh River metric.
    rolling_window
        Examples in the rolling metric.

    Raises
    ------
    DefinitionError
        A metric that cannot measure the task.

    Attributes
    ----------
    examples
        How many predictions have been measured.

    Examples
    --------
    >>> scores = Scores(Task.REGRESSION, {"mae": metrics.MAE}, rolling_window=1)
    >>> scores.update_columns([2.0, 2.0], PredictedColumn([1.0, 2.5]))
    []
    >>> scores.cumulative(), scores.rolling()
    ({'mae': 0.75}, {'mae': 0.5})
    """

    _begun: Mapping[str, int] = MappingProxyType({})  # metrics that began later, and when

    def __init__(
        self, task: Task, factories: Mapping[str, MetricFactory], rolling_window: int
    ) -> None:
        self._task = task
        self._matrix: metrics.ConfusionMatrix | None = None
        self._metrics = {name: self._made(factory) for name, factory in factories.items()}
        for name, metric in self._metrics.items():
            check_metric(name, metric, task)
        self._arrange()
        self._newest: deque[object] = deque(maxlen=rolling_window)
        self.examples = 0
        self._examples_with_probabilities = 0

    def go_on(
        self, factories: Mapping[str, MetricFactory], kept: Collection[str], rolling_window: int
    ) -> None:
        """Go on with other metrics, or another window, which begin anew alone.

        Parameters
        ----------
        factories
            Name to a callable that returns a fresh River metric.
        kept
            Those that are what they were. Of the others, each counts by itself.
        rolling_window
            Examples in the rolling metric.
        """
        known, self._metrics = self._metrics, {}
        for name, factory in factories.items():
            self._metrics[name] = known[name] if name in kept and name in known else factory()
        fresh = {name: each for name, each in self._metrics.items() if known.get(name) is not each}
        for name, metric in fresh.items():
            check_metric(name, metric, self._task)
        if not any(map(self._is_over_matrix, self._metrics.values())):
            self._matrix = None
        self._arrange()
        self._note_begun(fresh)
        if rolling_window != self._newest.maxlen:
            self._newest = deque(maxlen=rolling_window)

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        order_matrices(self._metrics.values())  # of 0.1

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it: each metric is sealed, without the matrix that they share."""
        over = {name: each for name, each in self._metrics.items() if self._is_over_matrix(each)}
        alone = self._metrics | {name: _over([], each) for name, each in over.items()}
        return {
            "task": self._task.value,
            "matrix": None if self._matrix is None else Sealed(self._matrix),
            "over_matrix": [*over],
            "metrics": {name: Sealed(metric) for name, metric in alone.items()},
            "newest": [[*each] if isinstance(each, tuple) else each for each in self._newest],
            "rolling_window": self._newest.maxlen,
            "examples": self.examples,
            "examples_with_probabilities": self._examples_with_probabilities,
            "begun": {**self._begun},
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Scores:
        """Return the scores that were saved; lost metrics are to be renewed.

        With the matrix, the metrics over it are lost.
        """
        scores = cls.__new__(cls)
        scores._task = Task(fields["task"])
        scores._matrix = matrix = fields["matrix"]
        scores._metrics = {**fields["metrics"]}
        for name in fields["over_matrix"]:
            scores._metrics[name] = _put_over(matrix, scores._metrics[name])
        scores._arrange()
        newest = (tuple(each) if isinstance(each, list) else each for each in fields["newest"])
        scores._newest = deque(newest, maxlen=fields["rolling_window"])
        scores.examples = fields["examples"]
        scores._examples_with_probabilities = fields["examples_with_probabilities"]
        if fields["begun"]:
            scores._begun = fields["begun"]
        return scores

    def renew_lost(self, factories: Mapping[str, MetricFactory]) -> dict[str, Lost]:
        """Replace lost metrics by fresh ones, and return them. One without a factory goes.

        One over a matrix that is there has lost nothing.
        """
        held: Mapping[str, object] = self._metrics
        lost = {name: each for name, each in held.items() if isinstance(each, Lost)}
        has_matrix = not isinstance(self._matrix, Lost)
        if not has_matrix:
            self._matrix = None
        begun = []
        for name, each in lost.items():
            is_over = isinstance(each, _LostOverMatrix)
            if name not in factories:
                del self._metrics[name]
                continue
            self._metrics[name] = self._made(factories[name]) if is_over else factories[name]()
            if not (is_over and has_matrix):
                begun.append(name)
        self._arrange()
        self._note_begun(begun)
        return lost

    def update_columns(
        self, labels: Sequence[LabelValue], predicted: PredictedColumn
    ) -> list[tuple[int, BaseException]]:
        """Measure predictions against their labels, in order.

        Those without a value are skipped, and numbers too large to be squared: no metric would
        recover from them.

        Returns
        -------
        list of tuple
            What metrics raised, one metric after the other, each with the index of its label.
        """
        values, probabilities = predicted
        places: Sequence[int] = range(len(labels))
        measured = self._measurable(labels, values)
        if not all(measured):
            places, labels = [*compress(places, measured)], [*compress(labels, measured)]
            values = [*compress(values, measured)]
            probabilities = probabilities and [*compress(probabilities, measured)]
        self.examples += len(labels)
        pairs = [*zip(labels, values, strict=True)]
        raised: list[tuple[int, BaseException]] = []
        if self._matrix is not None:
            _count(pairs, self._matrix)
        for metric in self._by_value:
            if not update_column(metric, labels, values):
                raised += _update(metric, places, pairs)
        if self._by_probabilities and probabilities:
            raised += self._update_by_class(places, labels, probabilities)
        if self._task is Task.REGRESSION:
            self._newest.extend(map(abs, map(sub, labels, values)))
        elif self._task is Task.ANOMALY:
            self._newest.extend(pairs)
        else:
            self._newest.extend(map(eq, labels, values))
        return raised

    def cumulative(self) -> dict[str, float]:
        """Return metric to value over all examples.

        A metric that has measured none is absent, and one that raises or gives no number.
        """
        if not self.examples:
            return {}
        found: dict[str, float] = {}
        copies: dict[str, Metric] = {}
        with contained():
            copies = deepcopy(self._metrics)  # since `get` adds zeros to River's matrix
        for name, each in copies.items():
            if self._begun.get(name) == self.examples:
                continue
            if self._examples_with_probabilities or not reads_probabilities(each, self._task):
                with contained():
                    found[name] = float(cast(float, scalar(each.get())))
        return found

    def rolling(self) -> dict[str, float]:
        """Return metric to value over the newest examples."""
        if not self._newest:
            return {}
        if self._task is Task.ANOMALY:
            return _rolling_roc_auc(cast(deque[tuple[bool, float]], self._newest))
        if self._task is Task.REGRESSION:
            return {"mae": fsum(cast(deque[float], self._newest)) / len(self._newest)}
        return {"accuracy": sum(cast(deque[bool], self._newest)) / len(self._newest)}

    def _made(self, factory: MetricFactory) -> Metric:
        """Return a fresh metric, over the matrix that several share if it is a function of one."""
        if not reads_confusion_matrix(factory, self._task):
            return factory()
        if self._matrix is None:
            self._matrix = ConfusionMatrix()  # type: ignore[no-untyped-call]  # River's
        return factory(cm=self._matrix)

    def _note_begun(self, names: Iterable[str]) -> None:
        """Note that metrics have measured nothing yet."""
        begun = {name: at for name, at in self._begun.items() if name in self._metrics}
        begun |= dict.fromkeys(names, self.examples)
        if begun:
            self._begun = begun

    def _is_over_matrix(self, metric: object) -> bool:
        return self._matrix is not None and getattr(metric, "cm", None) is self._matrix

    def _arrange(self) -> None:
        """Tell apart which of the others look at the value, and which at the probabilities."""
        others = [each for each in self._metrics.values() if not self._is_over_matrix(each)]
        by_probabilities = [reads_probabilities(each, self._task) for each in others]
        self._by_probabilities = [*compress(others, by_probabilities)]
        self._by_value = [*compress(others, map(not_, by_probabilities))]
        order_matrices(self._metrics.values())

    def _measurable(
        self, labels: Sequence[LabelValue], values: Sequence[LabelValue | None]
    ) -> Sequence[bool]:
        """Return which predictions can be measured; nothing where all can."""
        if self._task is Task.REGRESSION:
            return [
                type(value) in _NUMBERS
                and type(label) in _NUMBERS
                and -_LARGEST < value < _LARGEST
                and -_LARGEST < label < _LARGEST
                for label, value in zip(
                    cast(Sequence[float], labels), cast(Sequence[float], values), strict=True
                )
            ]
        return [value is not None for value in values] if None in values else ()

    def _update_by_class(
        self,
        places: Sequence[int],
        labels: Sequence[LabelValue],
        probabilities: Sequence[Probabilities],
    ) -> list[tuple[int, BaseException]]:
        places = [*compress(places, probabilities)]
        labels = [*compress(labels, probabilities)]
        probabilities = [each for each in probabilities if each]
        self._examples_with_probabilities += len(places)
        is_binary = self._task is Task.BINARY
        of_true = [each.get("True", 0.0) for each in probabilities] if is_binary else []
        raised: list[tuple[int, BaseException]] = []
        for metric in self._by_probabilities:
            if not (is_binary and update_column(metric, labels, of_true)):
                raised += _update(metric, places, map(self._by_class, labels, probabilities))
        return raised

    def _by_class(
        self, label: LabelValue, probabilities: Probabilities
    ) -> tuple[LabelValue, Mapping[bool, float] | Mapping[str, float]]:
        if self._task is Task.BINARY:
            return label, {
                False: probabilities.get("False", 0.0),
                True: probabilities.get("True", 0.0),
            }
        return str(label), dict(probabilities)  # which name many classes as text


class _LostOverMatrix(Lost):
    """Stands where a metric was over the matrix that several share."""


def _put_over(matrix: metrics.ConfusionMatrix | Lost, metric: Metric | Lost) -> Any:
    """Return a metric over the matrix; where either is lost, so is the metric."""
    for each in (metric, matrix):
        if isinstance(each, Lost):
            return _LostOverMatrix(each.reason)
    return _over(matrix, metric)


def _over(matrix: Any, metric: Any) -> Metric:
    """Return a copy of a metric, and of those that it consists of, over another matrix.

    An empty list stands for it while the metric is saved by itself.
    """
    copy: Metric = deepcopy(metric, {id(metric.cm): matrix})
    return copy


def _update(
    metric: Metric, places: Iterable[int], pairs: Iterable[tuple[object, object]]
) -> list[tuple[int, BaseException]]:
    """Update a metric with each pair; return what it raised, with the place of the pair."""
    raised: list[tuple[int, BaseException]] = []
    update = metric.update
    for place, (label, value) in zip(places, pairs, strict=True):
        try:
            update(label, value)
        except PASSED_ON:
            raise
        except BaseException as error:  # a user's metric may raise anything
            raised.append((place, error))
    return raised


def _count(pairs: Sequence[tuple[object, object]], matrix: metrics.ConfusionMatrix) -> None:
    """Add labels and what was predicted to a confusion matrix.

    Equal pairs are added together, at a tenth of the cost: whole numbers lose nothing by it.
    """
    if len(pairs) <= _FEW:
        for label, value in pairs:
            matrix.update(label, value, 1)  # type: ignore[no-untyped-call]  # River's
        return
    for (label, value), count in Counter(pairs).items():
        matrix.update(label, value, count)  # type: ignore[no-untyped-call]  # River's
        matrix.n_samples += count - 1


def _rolling_roc_auc(newest: deque[tuple[bool, float]]) -> dict[str, float]:
    if len({label for label, _ in newest}) < 2:
        return {}  # without both anomalies and ordinary events there is no order to measure
    metric: Metric = metrics.RollingROCAUC(  # type: ignore[no-untyped-call]  # River's
        window_size=len(newest)
    )
    for label, score in newest:
        metric.update(label, score)
    return {"roc_auc": float(metric.get())}
