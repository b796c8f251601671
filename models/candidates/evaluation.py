"""Prequential evaluation: each prediction is tested against its label before that is learned.

The learning operator passes what every candidate predicted, the champion, the other models and
the baselines alike. Cumulative metrics are River's own objects, fed as River's
`progressive_val_score` feeds them, so that they agree with it to the last digit. Rolling metrics
show how a model does now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import TypeAlias, cast

from millrace.models.candidates.scores import PredictedColumn, Scores
from millrace.models.pipeline.default_metrics import default_metrics
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.metrics import MetricFactory
from millrace.models.pipeline.tasks import Task
from millrace.models.sealed import Fields, Lost
from millrace.schemas.records import LabelValue, MetricsByCandidate, MetricValues

MetricsByCount: TypeAlias = dict[int, MetricsByCandidate]
"""Number of labels of a slice to the metrics after so many."""


class Prequential:
    """The metrics of each model of a pipeline, over all examples and over the newest.

    A prediction without a value is not measured.

    Parameters
    ----------
    task
        What is predicted; decides the rolling metric (accuracy, MAE or ROC AUC).
    names
        The models.
    metrics
        Name to a callable that returns a fresh River metric; None for the task's own: accuracy
        and F1; accuracy, macro F1 and Cohen's kappa; MAE, RMSE and R2; ROC AUC.
    rolling_window
        Examples in the rolling metrics.

    Raises
    ------
    DefinitionError
        A metric that cannot measure the task.

    Examples
    --------
    >>> scores = Prequential("binary", ["tree"], metrics=None, rolling_window=2)
    >>> predicted = {"tree": PredictedColumn([False, True, False])}
    >>> scores.update_columns([True, True, False], predicted)
    []
    >>> scores.cumulative()
    {'tree': {'accuracy': 0.666..., 'f1': 0.666...}}
    >>> scores.rolling(), scores.examples
    ({'tree': {'accuracy': 1.0}}, {'tree': 3})
    """

    def __init__(
        self,
        task: Task | str,
        names: Iterable[str],
        metrics: Mapping[str, MetricFactory] | None,
        rolling_window: int,
    ) -> None:
        task = Task(task)
        if metrics is None:
            metrics = default_metrics(task)
        self._scores = {name: Scores(task, metrics, rolling_window) for name in names}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        self._scores = cast(dict[str, Scores], state["_scores"])  # 0.1 has more, and all measured

    def go_on(
        self,
        fresh: Prequential,
        metrics: Mapping[str, MetricFactory],
        rolling_window: int,
        *,
        kept: Collection[str],
        begun: Collection[str],
    ) -> None:
        """Go on under another definition.

        Parameters
        ----------
        fresh
            As that definition begins.
        metrics, rolling_window
            Of that definition.
        kept
            The metrics that are what they were.
        begun
            The models that begin anew.
        """
        known, self._scores = self._scores, fresh._scores
        for name, scores in known.items():
            if name in self._scores and name not in begun:
                scores.go_on(metrics, kept, rolling_window)
                self._scores[name] = scores

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it, by model."""
        return {name: scores.to_fields() for name, scores in self._scores.items()}

    @classmethod
    def from_fields(cls, fields: Fields) -> Prequential:
        """Return what was saved; lost metrics are to be renewed."""
        prequential = cls.__new__(cls)
        prequential._scores = {name: Scores.from_fields(each) for name, each in fields.items()}
        return prequential

    def renew_lost(self, pipeline: Pipeline) -> dict[str, Lost]:
        """Replace lost metrics by fresh ones of the definition; return each by its place."""
        metrics = pipeline.metrics or default_metrics(Task(pipeline.task))
        return {
            f"metrics[{name!r}] of {model!r}": lost
            for model, scores in self._scores.items()
            for name, lost in scores.renew_lost(metrics).items()
        }

    @property
    def examples(self) -> dict[str, int]:
        """How many examples each model has been measured by."""
        return {name: scores.examples for name, scores in self._scores.items()}

    def update_columns(
        self, labels: Sequence[LabelValue], predicted: Mapping[str, PredictedColumn]
    ) -> list[tuple[int, BaseException]]:
        """Measure the predictions of every model, one model after the other.

        Parameters
        ----------
        labels
            As `Task.label` returns them.
        predicted
            What each model predicted before it learned the labels, a value for each.

        Returns
        -------
        list of tuple
            Index of each label that a metric raised at, and the first that was raised there. All
            the rest is measured.
        """
        first: dict[int, BaseException] = {}
        for name, scores in self._scores.items():
            if name in predicted:
                for place, error in scores.update_columns(labels, predicted[name]):
                    first.setdefault(place, error)
        return sorted(first.items())

    def update_in_parts(
        self,
        labels: Sequence[LabelValue],
        predicted: Mapping[str, PredictedColumn],
        read: MetricsByCount,
    ) -> list[tuple[int, BaseException]]:
        """Do what `update_columns` does, and read the metrics on the way.

        Parameters
        ----------
        labels, predicted
            As there.
        read
            Number of labels to the metrics after so many; they are filled in.
        """
        failed: list[tuple[int, BaseException]] = []
        for begin, end in pairwise(sorted({0, *read, len(labels)})):
            if begin in read:
                read[begin] = self.values()
            part = slice(begin, end)
            columns = {name: each.part(part) for name, each in predicted.items()}
            of_part = self.update_columns(labels[part], columns)
            failed += [(begin + place, error) for place, error in of_part]
        if len(labels) in read:
            read[len(labels)] = self.values()
        return failed

    def values(self) -> MetricsByCandidate:
        """Return model to metric to its values; a model that has none is absent."""
        rolling = self.rolling()
        found = {name: _values(each, rolling[name]) for name, each in self.cumulative().items()}
        return {name: each for name, each in found.items() if each}

    def cumulative(self) -> dict[str, dict[str, float]]:
        """Return model to metric to value, over all examples.

        A metric that has measured nothing is absent: River would show it as 0.
        """
        return {name: scores.cumulative() for name, scores in self._scores.items()}

    def rolling(self) -> dict[str, dict[str, float]]:
        """Return model to metric to value, over the newest examples."""
        return {name: scores.rolling() for name, scores in self._scores.items()}


def _values(
    cumulative: Mapping[str, float], rolling: Mapping[str, float]
) -> dict[str, MetricValues]:
    return {
        name: MetricValues(
            cumulative=_finite(cumulative.get(name)), rolling=_finite(rolling.get(name))
        )
        for name in {**cumulative, **rolling}
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
