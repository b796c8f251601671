"""One of the models that predict every event, and the functions that predict and train with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from millrace.models.candidates.ordered import with_ordered_classes
from millrace.models.candidates.predicting import learner, predictor
from millrace.models.candidates.steps import Followed, Step
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.on_change import MadeBy
from millrace.models.pipeline.tasks import Task
from millrace.models.sealed import Fields, Lost, Sealed
from millrace.models.user_code import PASSED_ON, contained
from millrace.schemas.records import Features, LabelValue, Predicted

BROKEN_AFTER = 10  # events in a row: fewer may be odd

_Predict: TypeAlias = Callable[[Features], Predicted]
_Learn: TypeAlias = Callable[[Features, LabelValue | None], object]

NotePrediction: TypeAlias = Callable[[Features, Predicted], object]
"""Takes the features of an event, and what was predicted of them."""

NoteTest: TypeAlias = Callable[[Features, Mapping[str, Predicted], LabelValue | None], object]
"""Takes the features of an event, what each candidate had predicted, and the label."""


class Candidate:
    """A River model, with the functions that predict with it and train it.

    Which methods of the model they call depends on its class and on the task; that is looked up
    once, not at every event.

    Parameters
    ----------
    model
        A River model.
    task
        What it predicts.
    probabilities
        Whether its predictions hold the probabilities of classes.
    invalid_in_a_row
        How many labelled events in a row it had no valid prediction for; None for a model that
        has never made one.
    made_by
        What made the model, if that is no longer what the definition has under its name.
    sees
        The features that it sees, in order; None for all that there are.

    Attributes
    ----------
    predict, learn
        Predict one event, and learn from one.
    invalid_in_a_row, made_by, sees
        See above.

    Examples
    --------
    >>> from river.dummy import NoChangeClassifier
    >>> candidate = Candidate(NoChangeClassifier(), Task.BINARY)
    >>> candidate.learn({"x": 1.0}, True)
    >>> candidate.predict({"x": 2.0})
    {'value': True, 'probabilities': {}}
    """

    __slots__ = (
        *("_probabilities", "_task", "invalid_in_a_row", "learn", "made_by", "model", "predict"),
        "sees",
    )

    def __init__(
        self,
        model: Model,
        task: Task,
        probabilities: bool = False,
        invalid_in_a_row: int | None = None,
        made_by: MadeBy | None = None,
        sees: tuple[str, ...] | None = None,
    ) -> None:
        self.model = with_ordered_classes(model)
        self._task = task
        self._probabilities = probabilities
        self.invalid_in_a_row = invalid_in_a_row
        self.go_on(made_by, sees)

    def __reduce__(self) -> tuple[type[Candidate], tuple[object, ...]]:
        """Pickle the arguments of the constructor: closures cannot be pickled."""
        args = (self.model, self._task, self._probabilities, self.invalid_in_a_row)
        return Candidate, (*args, self.made_by, self.sees)

    def go_on(self, made_by: MadeBy | None, sees: tuple[str, ...] | None) -> None:
        """Go on under another definition."""
        self.made_by = made_by
        self.sees = sees
        self._bind()

    def _bind(self) -> None:
        if isinstance(self.model, Lost):  # which is replaced before it is asked
            return
        self.predict = predictor(self.model, self._task, self._probabilities)
        self.learn = learner(self.model)
        if self.sees is not None:
            self.predict, self.learn = _seeing(self.sees, self.predict, self.learn)

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it: the model is sealed."""
        return {
            "model": Sealed(self.model),
            "probabilities": self._probabilities,
            "invalid_in_a_row": self.invalid_in_a_row,
            "made_by": None if self.made_by is None else {**self.made_by},
            "sees": None if self.sees is None else [*self.sees],
        }

    @classmethod
    def from_fields(cls, task: Task, fields: Fields) -> Candidate:
        """Return the candidate that was saved; a lost model is to be replaced (`with_model`)."""
        sees = fields["sees"]
        return cls(
            fields["model"],
            task,
            fields["probabilities"],
            fields["invalid_in_a_row"],
            fields["made_by"],
            None if sees is None else tuple(sees),
        )

    def follow(
        self,
        name: str,
        steps: Sequence[Step],
        note: NotePrediction | None = None,
        note_test: NoteTest | None = None,
    ) -> Followed:
        """Predict, under a name, and learn, step by step, for as long as all goes well.

        It stops before a step at which the model makes no prediction, and after one at which
        learning raises. `note` is called with each prediction before the model learns, and
        `note_test` with each example.
        """
        predict, learn = self.predict, self.learn
        done = 0
        for asked, answers, taught, label, tested in steps:
            if asked is not None:
                try:
                    answer = predict(asked)
                except PASSED_ON:
                    raise
                except BaseException:  # it will be asked again, and then this counts
                    return Followed(done, None)
                if answer["value"] is None:
                    return Followed(done, None)
                answers[name] = answer
                if note is not None:
                    note(asked, answer)
            done += 1
            if taught is not None:
                if note_test is not None:
                    note_test(taught, tested, label)
                try:
                    learn(taught, label)
                except PASSED_ON:
                    raise
                except BaseException as error:  # a user's model may raise anything
                    return Followed(done, error)
        return Followed(done, None)

    @property
    def gives_probabilities(self) -> bool:
        """Whether its predictions hold the probabilities of classes, where its model has any."""
        return self._probabilities

    @gives_probabilities.setter
    def gives_probabilities(self, probabilities: bool) -> None:
        if probabilities != self._probabilities:
            self._probabilities = probabilities
            self._bind()

    def with_model(self, model: Model) -> Candidate:
        """Return a candidate with another model, and the same task and probabilities."""
        return Candidate(model, self._task, self._probabilities)

    def in_place_of(self, other: Candidate) -> Candidate:
        """Return a candidate with this one's model, that gives probabilities as another does."""
        probabilities = other.gives_probabilities
        return Candidate(self.model, self._task, probabilities, None, self.made_by, self.sees)

    def note_invalid(self, features: Features) -> bool:
        """Note that it had made none, or raised; return whether it is broken.

        It is once it has made none for ten labelled events in a row, and still makes none for each
        of them, though it did before. So an odd event breaks no model, and a model that predicts
        only after it has learned is not broken.
        """
        if self.invalid_in_a_row is None:
            return False
        self.invalid_in_a_row = self.invalid_in_a_row + 1 if self.fails(features) else 0
        return self.invalid_in_a_row > 0 and self.invalid_in_a_row % BROKEN_AFTER == 0

    def fails(self, features: Features) -> bool:
        """Whether it makes no prediction for these features: it raises, or its answer is none."""
        with contained():
            self.predict(features)
            return False
        return True


def _seeing(names: Sequence[str], predict: _Predict, learn: _Learn) -> tuple[_Predict, _Learn]:
    """Return functions that see some features alone, in this order."""

    def seen(features: Features) -> Features:
        return {name: features[name] for name in names if name in features}

    return (
        lambda features: predict(seen(features)),
        lambda features, label: learn(seen(features), label),
    )
