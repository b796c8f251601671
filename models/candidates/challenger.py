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
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.sealed import Fields
from millrace.models.selection.promotion import is_custom
from millrace.models.selection.trial import Trial, Verdict
from millrace.schemas.records import Features, LabelValue


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
    metric
        By which loss.

    Attributes
    ----------
    name
        The name of its predictions, until it takes the incumbent's place. No other challenger
        ever has this name, so that an event that an earlier challenger predicted is not taken for
        one that this challenger predicted.
    """

    _metric: str | None = None  # not in what was saved before there was a choice

    def __init__(
        self,
        incumbent: str,
        since: int | str,
        candidate: Candidate,
        trial: Trial,
        metric: str | None = None,
    ) -> None:
        self.incumbent = incumbent
        self.name = challenger_name(incumbent, since)
        self.candidate = candidate
        self._trial = trial
        self._metric = metric

    @classmethod
    def of(
        cls, incumbent: str, since: int | str, candidate: Candidate, pipeline: Pipeline
    ) -> Challenger:
        """Return a challenger that is compared as a definition says."""
        trial = _trial(pipeline, ends=deploy_of(challenger_name(incumbent, since)) is None)
        return cls(incumbent, since, candidate, trial, pipeline.comparison_loss.name)

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {
            "name": self.name,
            "candidate": self.candidate.to_fields(),
            "trial": self._trial.to_fields(),
            "metric": self._metric,
        }

    @classmethod
    def from_fields(cls, task: Task, fields: Fields) -> Challenger:
        """Return the challenger that was saved."""
        name, candidate = fields["name"], Candidate.from_fields(task, fields["candidate"])
        trial = Trial.from_fields(fields["trial"])
        metric = fields.get("metric")
        return cls(incumbent_of(name), since_of(name), candidate, trial, metric)

    def go_on(self, pipeline: Pipeline) -> None:
        """Go on under another definition: what was compared by another loss counts no more."""
        metric = pipeline.comparison_loss.name
        if metric != self._metric or is_custom(metric):
            learned = int(self._trial.evidence["learned"])
            self._trial = _trial(pipeline, ends=not self.stays, learned=learned)
            self._metric = metric

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

    def compare(self, losses: Mapping[str, float | None], block: int | None, settled: int) -> None:
        """Compare the losses of the two at an event, if this challenger predicted it.

        Parameters
        ----------
        losses
            Loss of each candidate that was asked for a prediction; None where it made none.
        block
            In which block of events it is; None where that one is not to be changed any more.
        settled
            The blocks before this one are not, either.
        """
        incumbent_loss = losses.get(self.incumbent)
        if self.name not in losses:
            self._trial.note_warm_up(incumbent_loss)
        elif block is not None:
            self._trial.compare(block, incumbent_loss, losses[self.name])
        self._trial.settle(settled)

    def begin_again(self) -> None:
        """Begin a trial anew, once one was lost."""
        self._trial.begin_again()

    def learn(self, features: Features, label: LabelValue | None) -> None:
        """Learn from one example, as the incumbent does."""
        self.candidate.learn(features, label)
        self._trial.count_learned()


def _trial(pipeline: Pipeline, *, ends: bool, learned: int = 0) -> Trial:
    return Trial(
        pipeline.drift.replacement_after,
        pipeline.comparison.alpha,
        is_bounded=pipeline.comparison_loss.is_bounded,
        ends=ends,
        learned=learned,
    )
