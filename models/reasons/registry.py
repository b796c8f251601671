"""All families of models that have exact reasons. To add one: a module, and its entry here.

A model is known by its very class: what a subclass does to a prediction is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.models.reasons import (
    ensembles,
    linear,
    mondrian,
    naive_bayes,
    pipelines,
    trees,
    wrappers,
)
from millrace.models.reasons.family import Family, refused

FAMILIES: Sequence[Mapping[type, Family]] = (
    linear.MODELS,
    naive_bayes.MODELS,
    trees.MODELS,
    ensembles.MODELS,
    mondrian.MODELS,
    wrappers.MODELS,
    pipelines.MODELS,
)

_KNOWN = {kind: family for models in FAMILIES for kind, family in models.items()}


def find(model: object) -> Family:
    """Return the family of a model.

    Raises
    ------
    NoExactReasonsError
        There is none for it.
    """
    family = _KNOWN.get(type(model))
    if family is None:
        raise refused(f"{type(model).__name__} is not known to add up over features")
    return family
