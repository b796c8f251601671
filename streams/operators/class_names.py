"""The names of classes in predictions as they are published: JSON's, `true` and not `True`.

In models and in state a class has the name that Python gives it, in every release. Predictions that
earlier releases have published are named so, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Probabilities

_PUBLISHED = {"False": "false", "True": "true"}


def has_boolean_classes(pipeline: Pipeline) -> bool:
    """Whether the classes that a pipeline predicts are true and false, and not text."""
    return type(pipeline.allowed_labels.examples[0]) is bool


def as_published(probabilities: Iterable[Probabilities]) -> list[Probabilities]:
    """Return probabilities with boolean classes as they are published.

    Examples
    --------
    >>> as_published([{"False": 0.25, "True": 0.75}, {}])
    [{'false': 0.25, 'true': 0.75}, {}]
    """
    names = _PUBLISHED
    return [{names.get(name, name): p for name, p in each.items()} for each in probabilities]


def of_true(probabilities: Probabilities) -> float | None:
    """Return the published probability of true, whichever release named it; None without one."""
    found = probabilities.get("true")
    return probabilities.get("True") if found is None else found
