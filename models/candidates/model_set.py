"""The models of one scope, side by side: the champion, the other candidates and the baselines.

All of them predict every event at its place in the log, and all learn from every example, so
that their metrics can be compared. A challenger joins them after a drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

from millrace.models.candidates.baselines import answers, baselines, restored, saved
from millrace.models.candidates.candidate import (
    BROKEN_AFTER,
    Candidate,
    NotePrediction,
    NoteTest,
)
from millrace.models.candidates.challenger import Challenger
from millrace.models.candidates.earlier import upgraded
from millrace.models.candidates.incumbents import incumbent_of, since_of
from millrace.models.candidates.metrics import needs_probabilities
from millrace.models.candidates.predicting import predictor
from millrace.models.candidates.steps import Followed, Step
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.on_change import MadeBy
from millrace.models.pipeline.tasks import Task
from millrace.models.sealed import Fields, Lost
from millrace.models.selection.trial import Verdict
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
    champion
        Name of the model whose predictions are published; by default the first.
    commanded
        Number of the last command that has changed these models.

    Attributes
    ----------
    champion, commanded
        See above.
    candidates
        Name to candidate, in the order of the definition.
    baselines
        Name to baseline.
    challengers
        Name of a candidate to the challenger that competes for its place.
    version
        Examples learned from: a model is a function of its definition and that many examples.
    passed_over
        Examples that came while learning was paused.
    made_by
        Name of a candidate to what its definition makes it by; empty before the first deploy.
    failures
        Name of a candidate to how often it or its challenger raised an exception, or answered
        what is no prediction. The champion is not stopped when another candidate fails.
    """

    commanded = 0  # these are not in state of 0.1
    passed_over = 0
    made_by: Mapping[str, MadeBy] = MappingProxyType({})

    def __init__(self, pipeline: Pipeline, champion: str | None = None, commanded: int = 0) -> None:
        self.task = Task(pipeline.task)
        self.champion = champion or pipeline.champion
        self.commanded = commanded
        fresh: dict[str, Model] = {name: pipeline.fresh_model(name) for name in pipeline.models}
        # Probabilities cost as much as a small model; what is published are the champion's.
        self.candidates = {
            name: Candidate(model, self.task, _has_to_give(pipeline) or name == self.champion)
            for name, model in fresh.items()
        }
        self.baselines = baselines(self.task)
        self._measures_probabilities = needs_probabilities(pipeline)
        self.challengers: dict[str, Challenger] = {}
        self.version = 0
        self.passed_over = 0
        self.failures: Counter[str] = Counter()
        # Version after the last example that a candidate raised at, and how many in a row they are.
        self._unlearned: dict[str, tuple[int, int]] = {}
        self._pending: list[LabelValue] = []  # that the baselines have yet to learn

    def __getstate__(self) -> dict[str, object]:
        self.answer_baselines()
        return vars(self)

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(upgraded(state))

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it: each River model is sealed, the rest is data."""
        if self._pending:
            self.answer_baselines()
        return {
            "task": self.task.value,
            "champion": self.champion,
            "candidates": {name: each.to_fields() for name, each in self.candidates.items()},
            "baselines": {name: saved(each) for name, each in self.baselines.items()},
            "measures_probabilities": self._measures_probabilities,
            "challengers": {name: each.to_fields() for name, each in self.challengers.items()},
            "version": self.version,
            "passed_over": self.passed_over,
            "commanded": self.commanded,
            "failures": dict(self.failures),
            "unlearned": {name: [*each] for name, each in self._unlearned.items()},
            "made_by": {name: {**each} for name, each in self.made_by.items()},
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> ModelSet:
        """Return the models that were saved; those that are lost are to be renewed."""
        models = cls.__new__(cls)
        models.task = task = Task(fields["task"])
        models.champion, models.commanded = fields["champion"], fields["commanded"]
        models.candidates = {
            name: Candidate.from_fields(task, each) for name, each in fields["candidates"].items()
        }
        models.baselines = restored(task, fields["baselines"])
        models._measures_probabilities = fields["measures_probabilities"]
        models.challengers = {
            name: Challenger.from_fields(task, each) for name, each in fields["challengers"].items()
        }
        models.version, models.passed_over = fields["version"], fields["passed_over"]
        models.failures = Counter(fields["failures"])
        models._unlearned = {
            name: (version, in_a_row) for name, (version, in_a_row) in fields["unlearned"].items()
        }
        models._pending = []
        if fields["made_by"]:
            models.made_by = fields["made_by"]
        return models

    def renew_lost(self, pipeline: Pipeline) -> dict[str, Lost]:
        """Replace lost models by fresh ones of the definition; return each by its place."""
        found: dict[str, Lost] = {}
        for name, candidate in self.candidates.items():
            if isinstance(candidate.model, Lost):
                found[f"models[{name!r}]"] = candidate.model
                self.reset(name, pipeline)
        for name, challenger in self.challengers.items():
            if isinstance(challenger.model, Lost):
                found[f"the challenger of models[{name!r}]"] = challenger.model
                since = since_of(challenger.name) if challenger.stays else self.version
                self._challenge(name, since, pipeline)
        return found

    @property
    def models(self) -> dict[str, Model]:
        """Name to River model: the candidates, then the baselines."""
        return {name: each.model for name, each in self.candidates.items()} | self.baselines

    def predict(
        self, features: Features, note_failure: Callable[[str], None] = _ignored
    ) -> dict[str, Predicted]:
        """Return what each candidate predicts, in order; then each challenger. Changes no model.

        What baselines predict depends on the labels alone: `answer_baselines` returns it later.

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
        predicting = self._with_challengers() if self.challengers else self.candidates
        for name, candidate in predicting.items():
            predicted[name], error = self._ask(name, candidate, features, note_failure)
            if error is not None and name == self.champion:
                raised = error
        if raised is not None:
            raise NoPredictionError(predicted) from raised
        return predicted

    @property
    def is_ordinary(self) -> bool:
        """Whether each candidate predicts and learns as it should, and none has a challenger."""
        if self.challengers or any(at == self.version for at, _ in self._unlearned.values()):
            return False
        return all(each.invalid_in_a_row == 0 for each in self.candidates.values())

    def follow(
        self,
        steps: Sequence[Step],
        note_failure: Callable[[str], None] = _ignored,
        note: NotePrediction | None = None,
        note_test: NoteTest | None = None,
    ) -> Followed:
        """Predict and learn step by step, one candidate after the other.

        Equivalent to one `predict` and `learn` after the other where the models are ordinary. It
        stops where the champion does, and where one of several is no longer ordinary.

        Parameters
        ----------
        note_failure
            Takes the name of each candidate that fails.
        note
            Takes each prediction of the champion, before it learns the label.
        note_test
            Takes each example, before the champion learns it.
        """
        done = 0
        at_a_time = len(steps) if len(self.candidates) == 1 else BROKEN_AFTER - 1
        while done < len(steps):
            part = steps[done : done + at_a_time]
            followed = self._follow(part, note_failure, note, note_test)
            done += followed.steps
            if followed.steps < len(part) or followed.raised or not self.is_ordinary:
                return Followed(done, followed.raised)
        return Followed(done, None)

    def _follow(
        self,
        steps: Sequence[Step],
        note_failure: Callable[[str], None],
        note: NotePrediction | None,
        note_test: NoteTest | None,
    ) -> Followed:
        """Follow so few steps that no candidate turns out to be broken on the way."""
        champion = self.candidates[self.champion]
        followed = champion.follow(self.champion, steps, note, note_test)
        steps = steps[: followed.steps]
        for name, candidate in self.candidates.items():
            if candidate is not champion:
                self._let_follow(name, candidate, steps, note_failure)
        if champion is not next(iter(self.candidates.values())):
            self._put_in_order(steps)
        labels = [step.label for step in steps if step.taught is not None]
        self.version += len(labels)
        self._pending += [label for label in labels if label is not None]
        if followed.raised is not None:
            self._fail(self.champion, note_failure)
            self._note_unlearned(self.champion, self.version)
        return followed

    def _let_follow(
        self,
        name: str,
        candidate: Candidate,
        steps: Sequence[Step],
        note_failure: Callable[[str], None],
    ) -> None:
        """Let a candidate follow all steps, whatever it raises on the way."""
        version = self.version
        done, raised = candidate.follow(name, steps)
        version += sum(step.taught is not None for step in steps[:done])
        if raised is not None:
            self._fail(name, note_failure)
            self._note_unlearned(name, version)
        for step in steps[done:]:
            if step.asked is not None:
                step.answers[name] = self._ask(name, candidate, step.asked, note_failure)[0]
            if step.taught is not None:
                version += 1
                if step.tested[name]["value"] is not None:
                    candidate.invalid_in_a_row = 0
                else:
                    candidate.note_invalid(step.taught)
                self._teach(name, candidate, step.taught, step.label, version, note_failure)

    def _put_in_order(self, steps: Iterable[Step]) -> None:
        """Put what the candidates predicted in their order: the champion was first to answer."""
        for step in steps:
            if step.asked is not None:
                for name in self.candidates:
                    step.answers[name] = step.answers.pop(name)

    def champion_fails(self, features: Features) -> bool:
        """Whether the champion makes no prediction for these features. Changes no model."""
        return self.candidates[self.champion].fails(features)

    @property
    def pending_labels(self) -> int:
        """How many labels the baselines have yet to learn."""
        return len(self._pending)

    def answer_baselines(self) -> dict[str, list[Predicted]]:
        """Let the baselines learn what is pending, and return what they predict on the way.

        Returns
        -------
        dict
            Baseline to its predictions, one before each pending label and one after the last.
        """
        labels, self._pending = self._pending, []
        if self._measures_probabilities:
            return {name: self._step(each, labels) for name, each in self.baselines.items()}
        return {name: _predicted(answers(each, labels)) for name, each in self.baselines.items()}

    def broken(self, features: Features, predicted: Mapping[str, Predicted]) -> list[str]:
        """Return the candidates that turn out to be broken at a labelled event.

        They made no prediction for ten labelled events in a row, though they did before, or raised
        at ten examples in a row, though they learned before. Those that a challenger competes with
        already are not among them.

        Parameters
        ----------
        features
            Of the event.
        predicted
            What each candidate predicted at the event.
        """
        found = []
        for name, candidate in self.candidates.items():
            answer = predicted.get(name)
            if answer is not None and answer["value"] is not None:
                candidate.invalid_in_a_row = 0
            elif candidate.note_invalid(features):
                found.append(name)
        if self._unlearned and self.version > BROKEN_AFTER:  # or else they never learned
            streak = (self.version, BROKEN_AFTER)
            found += [name for name, each in self._unlearned.items() if each == streak]
        if not found:
            return found
        return [name for name in dict.fromkeys(found) if name not in self.challengers]

    def compare(
        self, losses: Mapping[str, float | None], block: int | None, settled: int
    ) -> list[Challenger]:
        """Compare challengers at a labelled event; one that has won takes its incumbent's place.

        Parameters
        ----------
        losses, block, settled
            What each candidate lost at the event, and where that is in the order of events; see
            `Challenger.compare`.

        Returns
        -------
        list of Challenger
            Those that have won or lost.
        """
        decided = []
        for name, challenger in [*self.challengers.items()]:
            challenger.compare(losses, block, settled)
            if challenger.verdict is Verdict.UNDECIDED:
                continue
            if challenger.verdict is Verdict.LOST and challenger.stays:
                challenger.begin_again()
                continue
            decided.append(challenger)
            if challenger.verdict is Verdict.WON:
                self.let_win(challenger.name)
            else:
                del self.challengers[name]
        return decided

    def learn(
        self,
        features: Features,
        label: LabelValue | None,
        note_failure: Callable[[str], None] = _ignored,
    ) -> None:
        """Let every model learn from one example. One that raises keeps what it has changed.

        Baselines learn the label when they are asked next.

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
        if label is not None:
            self._pending.append(label)
        raised = None
        for name, candidate in self.candidates.items():
            error = self._teach(name, candidate, features, label, self.version, note_failure)
            if error is not None and name == self.champion:
                raised = error
        for name, challenger in [*self.challengers.items()]:
            try:
                challenger.learn(features, label)
            except PASSED_ON:
                raise
            except BaseException:  # the incumbent stays
                self._fail(name, note_failure)
                if not challenger.stays:
                    del self.challengers[name]
        if raised is not None:
            raise raised

    @property
    def champion_alone_failed(self) -> bool:
        """Whether the champion raised when it learned the newest example, and another did not."""
        failed = [name for name, (at, _) in self._unlearned.items() if at == self.version]
        return self.champion in failed and len(failed) < len(self.candidates)

    @property
    def rivals(self) -> set[str]:
        """The names of challengers, and of those whose places they compete for."""
        return {name for each in self.challengers.values() for name in (each.incumbent, each.name)}

    @property
    def challengers_that_stay(self) -> list[str]:
        """The candidates with which one competes that a deploy brought."""
        return [name for name, each in self.challengers.items() if each.stays]

    def serve_by(self, champion: str, pipeline: Pipeline) -> None:
        """Let a candidate serve; its predictions hold probabilities from now on."""
        self.champion = champion
        self._measures_probabilities = needs_probabilities(pipeline)
        for name, candidate in self.candidates.items():
            candidate.gives_probabilities = _has_to_give(pipeline) or name == champion
        for challenger in self.challengers.values():
            challenger.candidate.gives_probabilities = _compares_probabilities(pipeline)

    def reset(self, name: str, pipeline: Pipeline) -> None:
        """Put an untrained model in the place of a candidate."""
        self._replace(name, pipeline.fresh_model(name))
        self._unlearned.pop(name, None)

    def forget(self, candidates: Iterable[str]) -> None:
        """Forget what was noted of candidates that are gone."""
        for name in candidates:
            self.failures.pop(name, None)
            self._unlearned.pop(name, None)

    def has_challenger(self, name: str) -> bool:
        """Whether there is a challenger of that name."""
        challenger = self.challengers.get(incumbent_of(name))
        return challenger is not None and challenger.name == name

    def let_win(self, challenger: str) -> None:
        """Put a challenger in the place of its incumbent."""
        incumbent = incumbent_of(challenger)
        winner, loser = self.challengers.pop(incumbent).candidate, self.candidates[incumbent]
        self.candidates[incumbent] = winner.in_place_of(loser)

    def handle_drift(self, name: str, policy: DriftPolicy, pipeline: Pipeline) -> None:
        """Apply the policy to the candidate `name`, whose loss has drifted."""
        if policy is DriftPolicy.RESET:
            self._replace(name, pipeline.fresh_model(name))
        elif policy is DriftPolicy.REPLACE and name not in self.challengers_that_stay:
            self._challenge(name, self.version, pipeline)

    def _challenge(self, name: str, since: int | str, pipeline: Pipeline) -> None:
        probabilities = _compares_probabilities(pipeline)
        candidate = Candidate(pipeline.fresh_model(name), self.task, probabilities)
        self.challengers[name] = Challenger.of(name, since, candidate, pipeline)

    def _ask(
        self,
        name: str,
        candidate: Candidate,
        features: Features,
        note_failure: Callable[[str], None],
    ) -> tuple[Predicted, BaseException | None]:
        """Return what a candidate predicts, or that it predicts nothing, and what it raised."""
        try:
            return candidate.predict(features), None
        except PASSED_ON:
            raise
        except BaseException as error:  # a user's model may raise anything
            self._fail(name, note_failure)
            return Predicted(value=None, probabilities={}), error

    def _teach(
        self,
        name: str,
        candidate: Candidate,
        features: Features,
        label: LabelValue | None,
        version: int,
        note_failure: Callable[[str], None],
    ) -> BaseException | None:
        """Let a candidate learn the example that leads to a version; return what it raised."""
        try:
            candidate.learn(features, label)
        except PASSED_ON:
            raise
        except BaseException as error:  # a user's model may raise anything
            self._fail(name, note_failure)
            self._note_unlearned(name, version)
            return error
        return None

    def _step(self, baseline: Model, labels: Iterable[LabelValue]) -> list[Predicted]:
        """Predict, probabilities too, and learn, one label after the other."""
        predict = predictor(baseline, self.task, probabilities=True)
        predicted = [predict({})]
        for label in labels:
            baseline.learn_one({}, label)
            predicted.append(predict({}))
        return predicted

    def _fail(self, name: str, note_failure: Callable[[str], None]) -> None:
        incumbent = incumbent_of(name)
        note_failure(incumbent)
        self.failures[incumbent] += 1

    def _note_unlearned(self, name: str, version: int) -> None:
        """Note that a candidate raised when it learned the example that leads to a version."""
        before, in_a_row = self._unlearned.get(name, (0, 0))
        in_a_row = in_a_row + 1 if before == version - 1 else 1
        self._unlearned[name] = (version, in_a_row)

    def _with_challengers(self) -> dict[str, Candidate]:
        ready = [each for each in self.challengers.values() if each.predicts]
        return self.candidates | {each.name: each.candidate for each in ready}

    def _replace(self, name: str, model: Model) -> None:
        self.candidates[name] = self.candidates[name].with_model(model)


def _has_to_give(pipeline: Pipeline) -> bool:
    """Whether each candidate has to give probabilities, and not only the one that serves.

    For certainty, too: whoever comes to serve has a threshold that its own scores have moved.
    """
    asks = pipeline.certainty is not None and Task(pipeline.task).is_classification
    return asks or needs_probabilities(pipeline)


def _compares_probabilities(pipeline: Pipeline) -> bool:
    """Whether challengers have to give probabilities: no metric looks at theirs."""
    return pipeline.comparison_loss.needs_probabilities


def _predicted(values: Sequence[LabelValue | None]) -> list[Predicted]:
    """Return values as predictions; the same ones in a row are one object."""
    predicted: list[Predicted] = []
    for _, same in groupby(values, key=id):
        alike = [*same]
        predicted += [Predicted(value=alike[0], probabilities={})] * len(alike)
    return predicted
