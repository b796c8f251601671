"""What a pipeline predicts, and what that asks of its labels, models and metrics."""

from __future__ import annotations

import math
from enum import StrEnum

from river import base

from millrace.schemas import DefinitionError, RecordError, RejectReason
from millrace.schemas.records import LabelValue

_LABEL_TYPES = {
    "binary": frozenset({"boolean", "int", "long"}),
    "multiclass": frozenset({"string", "int", "long", "boolean", "enum"}),
    "regression": frozenset({"double", "float", "int", "long"}),
    "anomaly": frozenset({"boolean", "int", "long"}),
}
_PLAIN_TYPES: dict[str, frozenset[type]] = {
    "binary": frozenset({bool}),
    "multiclass": frozenset({bool, int, str}),
    "regression": frozenset({float}),
    "anomaly": frozenset({bool}),
}


class Task(StrEnum):
    """What is predicted: one of two classes, one of many, a number, or how odd an event is.

    >>> Task("binary").label(1)
    True
    >>> Task("multiclass").label("sky")
    'sky'
    """

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    ANOMALY = "anomaly"

    def __reduce_ex__(self, _protocol: object) -> tuple[type[Task], tuple[str]]:
        """Pickle by value: Python 3.11.2 would go through `getattr`, which no snapshot may hold."""
        return Task, (self.value,)

    @property
    def is_classification(self) -> bool:
        return self is Task.BINARY or self is Task.MULTICLASS

    @property
    def label_types(self) -> frozenset[str]:
        """Avro types that a label may have."""
        return _LABEL_TYPES[self.value]

    @property
    def plain_types(self) -> frozenset[type]:
        """Types of which `label` returns each value as it is, unless it is not finite."""
        return _PLAIN_TYPES[self.value]

    def label(self, value: object) -> LabelValue:
        """Return `value` as this task's models learn it.

        Raises
        ------
        RecordError
            `value` cannot be a label of this task.
        """
        if self is Task.REGRESSION:
            return _number(value)
        if self is Task.MULTICLASS:
            if isinstance(value, (bool, int, str)):
                return value
        elif isinstance(value, (bool, int)) and value in (0, 1):
            return bool(value)
        raise _unknown(self, value)

    def check_model(self, name: str, model: object) -> None:
        """Refuse a model that cannot do this task.

        Raises
        ------
        DefinitionError
            Naming the model and the River interface that it lacks.
        """
        kinds: tuple[type, ...] = {
            Task.REGRESSION: (base.Regressor,),
            Task.ANOMALY: (base.AnomalyDetector, base.SupervisedAnomalyDetector),
        }.get(self, (base.Classifier,))
        last = getattr(model, "_last_step", model)
        if not isinstance(last, kinds):
            raise DefinitionError(
                f"models[{name!r}] must be a river.base.{kinds[0].__name__} for the task"
                f" {self.value!r}; got {type(last).__name__}"
            )
        if self is Task.MULTICLASS and not getattr(last, "_multiclass", True):
            raise DefinitionError(
                f"models[{name!r}] must be a model of many classes for the task 'multiclass', "
                f"for example multiclass.OneVsRestClassifier(...); got {type(last).__name__}"
            )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _unknown(Task.REGRESSION, value)
    try:
        number = float(value)
    except OverflowError:  # a whole number that no float can hold
        number = math.inf
    if not math.isfinite(number):
        raise RecordError(RejectReason.NOT_FINITE, f"a label must be a finite number; got {number}")
    return number


def _unknown(task: Task, value: object) -> RecordError:
    wanted = {
        Task.REGRESSION: "a number",
        Task.MULTICLASS: "text, a whole number or a boolean",
    }.get(task, "true, false, 1 or 0")
    return RecordError(
        RejectReason.UNKNOWN_LABEL_TYPE,
        f"for the task {task.value!r}, a label must be {wanted}; got {value!r}",
    )
