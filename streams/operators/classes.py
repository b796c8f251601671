"""How many classes a partition's labels may have, where the definition does not list them.

Each class makes models larger and every event slower, for good. So the classes that have been
learned are counted in the state, and a label of one more than `max_classes` is rejected: a rule of
the log, the same wherever a worker starts.
"""

from __future__ import annotations

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import LabelValue
from millrace.streams.operators.keyed_state import KeyedState


class Classes:
    """The classes that the labels of one partition have had.

    Parameters
    ----------
    pipeline
        The definition.

    Attributes
    ----------
    seen
        The state: each class, as text. The type of labels is settled, so that no two are the same.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        is_open = pipeline.task is Task.MULTICLASS and pipeline.allowed_labels.classes is None
        self._limit = pipeline.max_classes if is_open else None
        self.seen: KeyedState[bool] = KeyedState()

    def admit(self, label: LabelValue) -> bool:
        """Count the class of a label that is to be learned; False if it is one too many."""
        if self._limit is None:
            return True
        name = str(label)
        if name not in self.seen:
            if len(self.seen) >= self._limit:
                return False
            self.seen[name] = True
        return True

    def has(self, label: LabelValue) -> bool:
        """Whether a label is of a class that is counted already, or need not be."""
        return self._limit is None or str(label) in self.seen

    def refusal(self, label: LabelValue) -> str:
        """Say why a label was not admitted."""
        return (
            f"a label must be one of the {self._limit} classes that came first (max_classes); got"
            f" {label!r}. Correct it, list the pipeline's classes, or raise max_classes"
        )
