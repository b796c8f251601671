"""The models of one scope, side by side: the champion, the other candidates and the baselines.

All of them predict every event at its place in the log, and all learn from every example, so
that their metrics can be compared. A challenger joins them after a drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.challenger import Challenger
from millrace.models.candidates.earlier import upgraded
from millrace.models.candidates.evaluation import measures_probabilities
from millrace.models.candidates.predicting import Predict, learner, predictor
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.trial import Trial, Verdict
from millrace.schemas.records import Features, LabelValue, Predicted

_COMPILED = frozenset({"_predictors", "_learners"})


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
    version
        Examples learned from: a model is a function of its definition and that many examples.
    challengers
        Name of the model whose place each one competes for to the challenger.
    failures
        Candidate to how often it raised an exception; one that fails does not stop the champion.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.task = Task(pipeline.task)
        self.champion = pipeline.champion
        self.models: dict[str, Model] = {
            name: factory() for name, factory in pipeline.models.items()
        }
        self.models |= baselines(self.task)
        # They cost as much as a small model, and only the champion's are published.
        self.asks_probabilities = measures_probabilities(self.task, pipeline.metrics)
        self.version = 0
        self.challengers: dict[str, Challenger] = {}
        self.failures: Counter[str] = Counter()
        self._compile()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name not in _COMPILED}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(upgraded(state))
        self._compile()

    def predict(self, features: Features) -> dict[str, Predicted]:
        """Return what each model predicts, in the order of the definition. Changes no model.

        Raises
        ------
        Exception
            Whatever the champion raises.
        """
        predicted = {}
        for name, predict in self._asked():
            try:
                predicted[name] = predict(features)
            except Exception:
                if name == self.champion:
                    raise
                self.failures[name] += 1
                predicted[name] = Predicted(value=None, probabilities={})
        return predicted

    def learn(
        self, features: Features, label: LabelValue | None, predicted: Mapping[str, Predicted]
    ) -> None:
        """Let every model learn from one example.

        Parameters
        ----------
        features
            As they were at the event.
        label
            None where models learn without labels.
        predicted
            What each model predicted at the event.

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
        for challenger in [*self.challengers.values()] if self.challengers else ():
            self._train_challenger(challenger, features, label, predicted)
        if raised is not None:
            raise raised

    def react(self, name: str, policy: DriftPolicy, pipeline: Pipeline) -> None:
        """Apply the policy to a model whose loss has drifted."""
        if policy is DriftPolicy.RESET:
            self._put(name, pipeline.models[name]())
        elif policy is DriftPolicy.REPLACE:
            trial = Trial(pipeline.drift.replacement_after)
            fresh = pipeline.models[name]()
            self.challengers[name] = Challenger(name, fresh, self.task, trial)

    def _asked(self) -> Iterator[tuple[str, Predict]]:
        """Return who predicts, and how."""
        yield from self._predictors
        for challenger in self.challengers.values() if self.challengers else ():
            if challenger.predicts:
                yield challenger.name, predictor(challenger.model, self.task)

    def _train_challenger(
        self,
        challenger: Challenger,
        features: Features,
        label: LabelValue | None,
        predicted: Mapping[str, Predicted],
    ) -> None:
        slot = challenger.incumbent
        try:
            challenger.learn(features, label, predicted)
        except Exception:  # a user's model may raise anything; the incumbent stays
            self.failures[slot] += 1
            del self.challengers[slot]
            return
        if challenger.verdict is not Verdict.UNDECIDED:
            del self.challengers[slot]
        if challenger.verdict is Verdict.WON:
            self._put(slot, challenger.model)

    def _put(self, name: str, model: Model) -> None:
        self.models[name] = model
        self._compile()

    def _compile(self) -> None:
        """Find out once, not at every event, how each model is asked and trained."""
        self._predictors = [
            (name, predictor(model, self.task, self.asks_probabilities or name == self.champion))
            for name, model in self.models.items()
        ]
        self._learners = [(name, learner(model)) for name, model in self.models.items()]
