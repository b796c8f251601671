"""Prequential evaluation: each prediction is tested against its label before that is learned.

The learning operator passes what every candidate predicted, the champion, the other models and
the baselines alike. Cumulative metrics are River's own objects, fed as River's
`progressive_val_score` feeds them, so that they agree with it to the last digit. Rolling metrics
show how a model does now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.models.candidates.metrics import default_metrics
from millrace.models.candidates.scores import Scores
from millrace.models.pipeline.metrics import MetricFactory
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import PASSED_ON
from millrace.schemas.records import LabelValue, Predicted

_NO_PREDICTION = Predicted(value=None, probabilities={})


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
    >>> for label, value in [(True, False), (True, True), (False, False)]:
    ...     scores.update_all(label, {"tree": {"value": value, "probabilities": {}}})
    >>> scores.cumulative()
    {'tree': {'accuracy': 0.666..., 'f1': 0.666...}}
    >>> scores.rolling(), scores.examples
    ({'tree': {'accuracy': 1.0}}, {'tree': 3})
    """

    _at_a_time = 256

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
        self._unmeasured: list[tuple[LabelValue, Mapping[str, Predicted]]] = []
        if not all(each.are_rivers for each in self._scores.values()):
            self._at_a_time = 1  # so that what the user's code raises is raised at its label

    @property
    def examples(self) -> dict[str, int]:
        """How many examples each model has been measured by."""
        self._measure()
        return {name: scores.examples for name, scores in self._scores.items()}

    def update_all(self, label: LabelValue, predicted: Mapping[str, Predicted]) -> None:
        """Measure the predictions of every model for one event.

        Some hundred events are measured at a time, one model after the other. That is equivalent,
        and a third faster: the processor keeps one metric's code at hand.

        Parameters
        ----------
        label
            As `Task.label` returns it.
        predicted
            What each model predicted before it learned the label.

        Raises
        ------
        BaseException
            The first that a metric raised, once all that can be measured has been.
        """
        self._unmeasured.append((label, predicted))
        if len(self._unmeasured) >= self._at_a_time:
            error = self._measure()
            if error is not None:
                raise error

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

    def __getstate__(self) -> dict[str, object]:
        self._measure()
        return vars(self)

    def _measure(self) -> BaseException | None:
        """Measure what is left; return the first exception that a metric raised."""
        unmeasured, self._unmeasured = self._unmeasured, []
        labels = [label for label, _ in unmeasured]
        first: BaseException | None = None
        for name, scores in self._scores.items():
            try:
                scores.update_all(
                    labels, [each.get(name, _NO_PREDICTION) for _, each in unmeasured]
                )
            except PASSED_ON:
                raise
            except BaseException as error:
                first = first or error
        return first
