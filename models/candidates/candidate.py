"""One of the models that predict every event, and the functions that predict and train with it."""

from __future__ import annotations

from millrace.models.candidates.predicting import learner, predictor
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task


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

    Examples
    --------
    >>> from river.dummy import NoChangeClassifier
    >>> candidate = Candidate(NoChangeClassifier(), Task.BINARY)
    >>> candidate.learn({"x": 1.0}, True)
    >>> candidate.predict({"x": 2.0})
    {'value': True, 'probabilities': {}}
    """

    __slots__ = ("_probabilities", "_task", "learn", "model", "predict")

    def __init__(self, model: Model, task: Task, probabilities: bool = False) -> None:
        self.model = model
        self.predict = predictor(model, task, probabilities)
        self.learn = learner(model)
        self._task = task
        self._probabilities = probabilities

    def __reduce__(self) -> tuple[type[Candidate], tuple[Model, Task, bool]]:
        """Pickle the arguments of the constructor: closures cannot be pickled."""
        return Candidate, (self.model, self._task, self._probabilities)

    def with_model(self, model: Model) -> Candidate:
        """Return a candidate with another model, and the same task and probabilities."""
        return Candidate(model, self._task, self._probabilities)
