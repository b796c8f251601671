"""What a label of a pipeline may be: its type, and its class.

The type is settled before the first label: by the schema's field of the label, by the classes that
the definition lists, or by the task. So `1` and `"1"` are never classes side by side, whatever
producers write, and the text that names a class in `probabilities` stands for one class.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from millrace.models.parameters import require, sequence
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import shown
from millrace.schemas import DefinitionError, EventSchema, RecordError, RejectReason
from millrace.schemas.records import LabelValue

_PYTHON_TYPES: dict[str, type[bool | int | str]] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "string": str,
    "enum": str,
}
_EXAMPLES: dict[type, tuple[LabelValue, LabelValue]] = {
    bool: (False, True),
    int: (0, 1),
    str: ("a", "b"),
}


class Labels:
    """Which labels a pipeline learns from.

    Parameters
    ----------
    task
        What is predicted.
    schema
        Of the events; its field of the label settles the type.
    classes
        All classes of the task `multiclass`, where the definition lists them.

    Attributes
    ----------
    classes
        All classes that there can be, by the definition or the symbols of an enum; None where they
        show only as labels come.

    Raises
    ------
    DefinitionError
        The type is not settled, or the classes are not of the type that the schema declares.

    Examples
    --------
    >>> fields = [{"name": "id", "type": "string"}]
    >>> schema = EventSchema({"type": "record", "name": "Fruit", "fields": fields})
    >>> Labels(Task.MULTICLASS, schema, ["apple", "pear"]).learnable("apple")
    'apple'
    """

    def __init__(
        self, task: Task, schema: EventSchema, classes: Sequence[LabelValue] | None
    ) -> None:
        self._task = task
        self._field = schema.label
        self._declared = () if schema.label is None else schema.types_of(schema.label)
        self._symbols = () if schema.label is None else schema.symbols_of(schema.label)
        self._allowed: Collection[type] = {
            _PYTHON_TYPES[each] for each in self._declared if each in _PYTHON_TYPES
        }
        if classes is not None:
            self._check_classes(classes)
            self._allowed = {type(classes[0])}
        elif task is Task.MULTICLASS:
            self._check_type()
        elif task is Task.BINARY and (not self._allowed or bool in self._allowed):
            self._allowed = {bool, int}
        self._classes = None if classes is None else frozenset(classes)
        self.classes = tuple(classes or self._symbols) or None

    @property
    def examples(self) -> tuple[LabelValue, ...]:
        """Two labels of a classification, or more: the classes where they are known."""
        if self._task is not Task.MULTICLASS:
            return (False, True)
        (kind,) = self._allowed
        return self.classes or _EXAMPLES[kind]

    @property
    def plain_types(self) -> frozenset[type]:
        """Types of which each value is learnable, and learned as it is, unless it is not finite."""
        if not self._task.is_classification:
            return self._task.plain_types
        return frozenset() if self.classes else self._task.plain_types.intersection(self._allowed)

    def admits(self, value: object) -> bool:
        """Whether models may learn this label."""
        try:
            self.learnable(value)
        except RecordError:
            return False
        return True

    def learnable(self, value: object) -> LabelValue:
        """Return a label as models learn it.

        Raises
        ------
        RecordError
            It is of another type than the pipeline's labels, or none of its classes.
        """
        if self._task.is_classification:
            is_symbol = not self._symbols or value in self._symbols
            if type(value) not in self._allowed or not is_symbol:
                raise RecordError(RejectReason.UNKNOWN_LABEL_TYPE, self._wanted(value))
        if self._classes is not None and value not in self._classes:
            raise RecordError(
                RejectReason.UNKNOWN_CLASS,
                f"a label must be one of the classes {[*(self.classes or ())]}; got {value!r}",
            )
        return self._task.label(value)

    def _wanted(self, value: object) -> str:
        if self._field is None:
            kinds = " or ".join(sorted(each.__name__ for each in self._allowed))
            task = self._task.value
            return f"for the task {task!r}, a label must be of type {kinds}; got {value!r}"
        return (
            f"a label must have the type of the field {self._field!r},"
            f" {' or '.join(self._symbols or self._declared)}; got {value!r}"
        )

    def _check_type(self) -> None:
        if self._field is None:
            raise DefinitionError(
                "classes must be given for the task 'multiclass' if no field of the schema holds"
                " the label, since 1 and '1' would be two classes; got None. List them, for"
                " example classes=['apple', 'pear'], or add the field to the schema (it may stay"
                " null) and name it in label="
            )
        must = f"label {self._field!r} must have one type of classes for the task 'multiclass'"
        require(len(self._allowed) == 1, must, [*self._declared])

    def _check_classes(self, classes: Sequence[LabelValue]) -> None:
        task = self._task.value
        must = f"classes must be None for the task {task!r}: only 'multiclass' has them"
        require(self._task is Task.MULTICLASS, must, classes)
        sequence("classes", classes, of="classes, for example ['apple', 'pear']")
        require(len(classes) > 1, "classes must be two or more", classes)
        kinds = {type(each) for each in classes}
        must = "classes must be of one type, all text, all whole numbers or all booleans"
        require(len(kinds) == 1 and kinds <= _EXAMPLES.keys(), must, classes)
        require(len({*classes}) == len(classes), "classes must have each class once", classes)
        if self._field is not None:
            must = f"classes must be of the type of the label {self._field!r}, {self._declared}"
            require(kinds <= {*self._allowed}, must, classes)
        for each in classes if self._symbols else ():
            must = f"classes must be symbols of the label {self._field!r}, of {self._symbols}"
            require(each in self._symbols, must, each)


def class_limit(limit: int, labels: Labels) -> None:
    """Refuse more known classes than `max_classes` allows.

    Raises
    ------
    DefinitionError
        With the limit that would do.
    """
    known = len(labels.classes or ())
    if known > limit:
        raise DefinitionError(
            f"max_classes must be {known:,} or more for the {known:,} classes of the definition or"
            f" schema; got {shown(limit)}. Each class costs time and memory at every event"
        )
