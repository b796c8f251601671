"""Sets of River's, walked through in the same order in every process.

Python orders a set of texts by hashes that differ from process to process, unless PYTHONHASHSEED is
set. River keeps classes and values of text in sets, and takes the first of equally good ones, or
adds up numbers in their order. Two workers, or a worker and a replay, would then differ in the last
digit or in the class. These sets are walked through in order of size or alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from typing import TypeVar

from river import metrics
from river.tree.splitter.nominal_splitter_classif import NominalSplitterClassif

_T = TypeVar("_T")
_Model = TypeVar("_Model")
_ATTRIBUTES = ("classes", "_classes")  # where River's classifiers keep those that they have seen


class OrderedSet(set[_T]):
    """A set that is walked through in the order of `sorted`.

    Examples
    --------
    >>> [*OrderedSet(["sky", "grass", "brick"])]
    ['brick', 'grass', 'sky']
    """

    def __iter__(self) -> Iterator[_T]:
        return iter(_sorted(super().__iter__()))


class NominalSplitter(NominalSplitterClassif):
    """River's; of values that split equally well, it takes the first."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # River's
        self._att_values: OrderedSet[object] = OrderedSet()


class ConfusionMatrix(metrics.ConfusionMatrix):
    """River's; metrics add up its classes in order, and it is copied in a fifth of the time."""

    def __deepcopy__(self, _memo: dict[int, object]) -> ConfusionMatrix:
        copied = copy(self)
        for name in ("_init_classes", "sum_row", "sum_col", "data"):
            setattr(copied, name, copy(getattr(self, name)))
        for label, row in self.data.items():
            copied.data[label] = copy(row)
        return copied

    @property
    def classes(self) -> list[object]:
        return _sorted(super().classes)


def with_ordered_classes(model: _Model) -> _Model:
    """Let a classifier, or the last step of a pipeline, walk through its classes in order."""
    attributes: dict[str, object] = getattr(getattr(model, "_last_step", model), "__dict__", {})
    for name in _ATTRIBUTES:
        if type(classes := attributes.get(name)) is set:
            attributes[name] = OrderedSet(classes)
    return model


def order_matrices(chosen: Iterable[object]) -> None:
    """Let metrics walk through the classes of their confusion matrices in order."""
    for metric in chosen:
        if type(matrix := getattr(metric, "cm", None)) is metrics.ConfusionMatrix:
            matrix.__class__ = ConfusionMatrix
        order_matrices(getattr(metric, "data", ()))  # several metrics in one


def _sorted(values: Iterable[_T]) -> list[_T]:
    listed = [*values]
    try:
        return sorted(listed)  # type: ignore[type-var]  # what cannot be compared is below
    except TypeError:  # text among numbers
        return sorted(listed, key=lambda each: (isinstance(each, str), each))
