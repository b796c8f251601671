"""A fresh model that competes for the place of one that has drifted."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.models.candidates.evaluation import loss
from millrace.models.candidates.predicting import learner
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.trial import Trial, Verdict
from millrace.schemas.records import Features, LabelValue, Predicted


def challenger_name(incumbent: str) -> str:
    """Return the name of the challenger of a model: no model of a pipeline has such a name.

    Examples
    --------
    >>> challenger_name("hoeffding_tree")
    'hoeffding_tree.challenger'
    """
    return f"{incumbent}.challenger"


class Challenger:
    """A model that learns beside the incumbent until a trial decides which of the two predicts.

    Parameters
    ----------
    incumbent
        Name of the model whose place it competes for.
    model
        Fresh.
    task
        What both predict.
    trial
        How they are compared.
    """

    def __init__(self, incumbent: str, model: Model, task: Task, trial: Trial) -> None:
        self.incumbent = incumbent
        self.name = challenger_name(incumbent)
        self.model = model
        self._task = task
        self._trial = trial

    @property
    def predicts(self) -> bool:
        """Whether it predicts events, to be compared: not before it has learned enough."""
        return self._trial.is_warm

    @property
    def verdict(self) -> Verdict:
        """What the trial has shown so far."""
        return self._trial.verdict

    def learn(
        self, features: Features, label: LabelValue | None, predicted: Mapping[str, Predicted]
    ) -> None:
        """Compare what both predicted at the event, if both did; then learn.

        Parameters
        ----------
        features
            As they were at the event.
        label
            None where models learn without labels: then there is nothing to compare.
        predicted
            What each candidate predicted at the event.
        """
        if label is not None and self.name in predicted:
            self._trial.compare(
                *(
                    loss(self._task, label, predicted[name]["value"])
                    for name in (self.incumbent, self.name)
                )
            )
        learner(self.model)(features, label)
        self._trial.count_learned()
