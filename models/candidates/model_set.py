"""The models of one scope, side by side: the champion, the other candidates and the baselines.

All of them predict every event at its place in the log, and all learn from every example, so
that their metrics can be compared. A challenger joins them after a drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.candidate import BROKEN_AFTER, Candidate
from millrace.models.candidates.challenger import Challenger, incumbent_of
from millrace.models.candidates.earlier import upgraded
from millrace.models.candidates.metrics import measures_probabilities
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.trial import Trial, Verdict
from millrace.models.user_code import PASSED_ON
from millrace.schemas.records import Features, LabelValue, Predicted


def _ignored(_name: str) -> None:
    """Take the name of a candidate that has failed, and do nothing."""


class NoPredictionError(Exception):
    """The champion made no prediction; the other candidates have made theirs.

    Its cause is what the champion raised, or says why what it answered is no prediction.

    Parameters
    ----------
    predicted
        What each candidate predicted.
    """

    def __init__(self, predicted: dict[str, Predicted]) -> None:
        super().__init__("the champion made no prediction")
        self.predicted = predicted


class ModelSet:
    """Every model of a pipeline, fresh from its factory, and how much they have learned.

    Parameters
    ----------
    pipeline
        The definition.

    Attributes
    ----------
    champion
        Name of the model whose predictions are published.
    candidates
        Name to candidate, in the order of the definition, with the baselines last.
    challengers
        Name of a candidate to the challenger that competes for its place.
    version
        Examples learned from: a model is a function of its definition and that many examples.
    failures
        Name of a candidate to how often it or its challenger raised an exception, or answered
        what is no prediction. The champion is not stopped when another candidate fails.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.task = Task(pipeline.task)
        self.champion = pipeline.champion
        fresh: dict[str, Model] = {name: pipeline.fresh_model(name) for name in pipeline.models}
        # Probabilities cost as much as a small model, and only the champion's are published.
        measured = measures_probabilities(self.task, pipeline.metrics)
        self.candidates = {
            name: Candidate(model, self.task, measured or name == self.champion)
            for name, model in (fresh | baselines(self.task)).items()
        }
        self.challengers: dict[str, Challenger] = {}
        self.version = 0
        self.failures: Counter[str] = Counter()
        # Version after the last example that a candidate raised at, and how many in a row they are.
        self._unlearned: dict[str, tuple[int, int]] = {}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(upgraded(state))
        vars(self).setdefault("_unlearned", {})  # not in state of 0.1

    @property
    def models(self) -> dict[str, Model]:
        """Name to River model, in the order of `candidates`."""
        return {name: each.model for name, each in self.candidates.items()}

    def predict(
        self, features: Features, note_failure: Callable[[str], None] = _ignored
    ) -> dict[str, Predicted]:
        """Return what each candidate predicts, in order; then each challenger. Changes no model.

        Parameters
        ----------
        features
            Of an event.
        note_failure
            Takes the name of each candidate that fails, itself or its challenger.

        Raises
        ------
        NoPredictionError
            The champion raised an exception, or what it answered is no prediction.
        """
        predicted = {}
        raised = None
        for name, candidate in self._predicting().items():
            try:
                predicted[name] = candidate.predict(features)
            except PASSED_ON:
                raise
            except BaseException as error:  # a user's model may raise anything
                self._fail(name, note_failure)
                raised = error if name == self.champion else raised
                predicted[name] = Predicted(value=None, probabilities={})
        if raised is not None:
            raise NoPredictionError(predicted) from raised
        return predicted

    def champion_fails(self, features: Features) -> bool:
        """Whether the champion makes no prediction for these features. Changes no model."""
        return self.candidates[self.champion].fails(features)

    def broken(self, features: Features, losses: Mapping[str, float]) -> list[str]:
        """Return the candidates that turn out to be broken at a labelled event.

        They made no prediction for ten labelled events in a row, though they did before, or raised
        at ten examples in a row, though they learned before. Those that a challenger competes with
        already are not among them.

        Parameters
        ----------
        features
            Of the event.
        losses
            Loss of each candidate that made a prediction, by name.
        """
        found = []
        for name, candidate in self.candidates.items():
            if name in losses:
                candidate.note_valid()
            elif candidate.note_invalid(features):
                found.append(name)
        if self.version > BROKEN_AFTER:  # or else they never learned
            streak = (self.version, BROKEN_AFTER)
            found += [name for name, each in self._unlearned.items() if each == streak]
        return [name for name in dict.fromkeys(found) if name not in self.challengers]

    def compare(self, predicted: Mapping[str, Predicted], losses: Mapping[str, float]) -> None:
        """Compare challengers at a labelled event; one that has won takes its incumbent's place.

        Parameters
        ----------
        predicted
            What each candidate predicted at the event.
        losses
            Loss of each candidate that made a prediction, by name.
        """
        for name, challenger in [*self.challengers.items()]:
            challenger.compare(predicted, losses)
            if challenger.verdict is Verdict.UNDECIDED:
                continue
            del self.challengers[name]
            if challenger.verdict is Verdict.WON:
                self._replace(name, challenger.model)

    def learn(
        self,
        features: Features,
        label: LabelValue | None,
        note_failure: Callable[[str], None] = _ignored,
    ) -> None:
        """Let every model learn from one example. One that raises keeps what it has changed.

        Parameters
        ----------
        features
            As they were at the event.
        label
            None where models learn without labels.
        note_failure
            Takes the name of each candidate that fails, itself or its challenger.

        Raises
        ------
        BaseException
            Whatever the champion raises, once the others have learned.
        """
        self.version += 1
        raised = None
        for name, candidate in self.candidates.items():
            try:
                candidate.learn(features, label)
            except PASSED_ON:
                raise
            except BaseException as error:  # a user's model may raise anything
                self._fail(name, note_failure)
                self._note_unlearned(name)
                raised = error if name == self.champion else raised
        for name, challenger in [*self.challengers.items()]:
            try:
                challenger.learn(features, label)
            except PASSED_ON:
                raise
            except BaseException:  # the incumbent stays
                self._fail(name, note_failure)
                del self.challengers[name]
        if raised is not None:
            raise raised

    def handle_drift(self, name: str, policy: DriftPolicy, pipeline: Pipeline) -> None:
        """Apply the policy to the candidate `name`, whose loss has drifted."""
        if policy is DriftPolicy.RESET:
            self._replace(name, pipeline.fresh_model(name))
        elif policy is DriftPolicy.REPLACE:
            candidate = Candidate(pipeline.fresh_model(name), self.task)
            trial = Trial(pipeline.drift.replacement_after)
            self.challengers[name] = Challenger(name, self.version, candidate, trial)

    def _fail(self, name: str, note_failure: Callable[[str], None]) -> None:
        incumbent = incumbent_of(name)
        self.failures[incumbent] += 1
        note_failure(incumbent)

    def _note_unlearned(self, name: str) -> None:
        """Note that a candidate raised when it learned from the newest example."""
        version, in_a_row = self._unlearned.get(name, (0, 0))
        in_a_row = in_a_row + 1 if version == self.version - 1 else 1
        self._unlearned[name] = (self.version, in_a_row)

    def _predicting(self) -> dict[str, Candidate]:
        if not self.challengers:
            return self.candidates
        ready = [each for each in self.challengers.values() if each.predicts]
        return self.candidates | {each.name: each.candidate for each in ready}

    def _replace(self, name: str, model: Model) -> None:
        self.candidates[name] = self.candidates[name].with_model(model)
