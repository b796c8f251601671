"""A fresh model that competes for a place, after a drift or where its definition has changed."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.models.candidates.candidate import Candidate
from millrace.models.candidates.incumbents import (
    challenger_name,
    deploy_of,
    incumbent_of,
    since_of,
)
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.sealed import Fields
from millrace.models.selection.trial import Trial, Verdict
from millrace.schemas.records import Features, LabelValue, Predicted


class Challenger:
    """A candidate that learns beside an incumbent until a trial decides which of the two stays.

    Parameters
    ----------
    incumbent
        Name of the candidate whose place it competes for.
    since
        Version of the models at which it was made, or the deploy that brought it.
    candidate
        Untrained.
    trial
        How the two are compared.

    Attributes
    ----------
    name
        The name of its predictions, until it takes the incumbent's place. No other challenger
        ever has this name, so that an event that an earlier challenger predicted is not taken for
        one that this challenger predicted.
    """

    def __init__(
        self, incumbent: str, since: int | str, candidate: Candidate, trial: Trial
    ) -> None:
        self.incumbent = incumbent
        self.name = challenger_name(incumbent, since)
        self.candidate = candidate
        self._trial = trial

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {
            "name": self.name,
            "candidate": self.candidate.to_fields(),
            "trial": self._trial.to_fields(),
        }

    @classmethod
    def from_fields(cls, task: Task, fields: Fields) -> Challenger:
        """Return the challenger that was saved."""
        name, candidate = fields["name"], Candidate.from_fields(task, fields["candidate"])
        trial = Trial.from_fields(fields["trial"])
        return cls(incumbent_of(name), since_of(name), candidate, trial)

    @property
    def model(self) -> Model:
        """Its River model."""
        return self.candidate.model

    @property
    def predicts(self) -> bool:
        """Whether it predicts events: only once it has learned enough to be compared."""
        return self._trial.is_warm

    @property
    def stays(self) -> bool:
        """Whether it competes until it wins, since a deploy brought it."""
        return deploy_of(self.name) is not None

    @property
    def verdict(self) -> Verdict:
        """What the trial has shown so far."""
        return self._trial.verdict

    @property
    def evidence(self) -> dict[str, float]:
        """What the verdict rests on."""
        return self._trial.evidence

    def compare(self, predicted: Mapping[str, Predicted], losses: Mapping[str, float]) -> None:
        """Compare the losses of the two at an event, if this challenger predicted it.

        Parameters
        ----------
        predicted
            What each candidate predicted at the event.
        losses
            Loss of each candidate that made a prediction, by name.
        """
        if self.name in predicted:
            self._trial.compare(losses.get(self.incumbent), losses.get(self.name))

    def begin_again(self) -> None:
        """Begin a trial anew, once one was lost."""
        self._trial.begin_again()

    def learn(self, features: Features, label: LabelValue | None) -> None:
        """Learn from one example, as the incumbent does."""
        self.candidate.learn(features, label)
        self._trial.count_learned()
