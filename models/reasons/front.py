"""What stands in front of a model: transformers, and whose feature each of their results is.

A transformer is known here if each number that it gives comes from one feature. What it gives is
then that feature's, by the name that its user gave it. To add a transformer, add an entry to
`TRANSFORMERS`. Functions, hashes, norms, products and projections mix features, or may, and have
no exact reasons behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from river import base, compose, preprocessing

from millrace.models.candidates.accelerated import linear
from millrace.models.reasons.family import Seen, refused

Origins: TypeAlias = dict[str, str] | None
"""Name of a result to that of its feature; None where each has the name of its own."""

_Trace: TypeAlias = Callable[[Any, Seen], tuple[Seen, Origins]]
"""Returns what a transformer makes of features, and whose each result is."""


class _Known(NamedTuple):
    trace: _Trace
    inside: Callable[[Any], Iterable[Any]] = lambda _: ()


def traced(steps: Iterable[Any], x: Seen) -> tuple[Seen, Origins]:
    """Return what transformers make of features one after the other, and whose each result is.

    Raises
    ------
    NoExactReasonsError
        A result is of two features.

    Examples
    --------
    >>> encoder = preprocessing.OneHotEncoder(drop_zeros=True)
    >>> traced([encoder, compose.Prefixer("a_")], {"colour": "red"})
    ({'a_colour_red': 1}, {'a_colour_red': 'colour'})
    """
    origins: Origins = None
    for step in steps:
        if isinstance(step, base.AnomalyFilter):  # it only decides what is learned
            continue
        x, found = TRANSFORMERS[type(step)].trace(step, x)
        if found is not None and origins is not None:
            found = {name: origins.get(own, own) for name, own in found.items()}
        origins = origins if found is None else found
    return x, origins


def check(steps: Iterable[Any]) -> None:
    """Raise an error if a transformer is not known.

    Raises
    ------
    NoExactReasonsError
        Naming the transformer.
    """
    for step in steps:
        if isinstance(step, base.AnomalyFilter):
            continue
        known = TRANSFORMERS.get(type(step))
        if known is None:
            kind = type(step).__name__
            raise refused(f"what {kind} makes of features cannot be told apart by feature")
        check(known.inside(step))


def _same(step: Any, x: Seen) -> tuple[Seen, Origins]:
    return step.transform_one(x), None


def _encoded(step: Any, x: Seen) -> tuple[Seen, Origins]:
    origins: dict[str, str] = {}
    for feature, values in step.values.items():
        _claim(origins, feature, values)
    for feature, value in x.items():
        _claim(origins, feature, value if isinstance(value, list | set) else (value,))
    return step.transform_one(x), origins


def _claim(origins: dict[str, str], feature: str, values: Iterable[object]) -> None:
    for value in values:
        name = f"{feature}_{value}"
        if origins.setdefault(name, feature) != feature:
            raise refused(f"{name!r} may be a value of {feature!r} and of {origins[name]!r}")


def _renamed(step: Any, x: Seen) -> tuple[Seen, Origins]:
    origins = {name: name for name in x}
    for old, new in step.mapping.items():
        if old in origins:
            origins[new] = origins.pop(old)
    return step.transform_one(x.copy()), origins  # which renames in place


def _fixed(step: Any, x: Seen) -> tuple[Seen, Origins]:
    return step.transform_one(x), {step._rename(name): name for name in x}


def _pipeline(step: Any, x: Seen) -> tuple[Seen, Origins]:
    return traced(step.steps.values(), x)


def _union(step: Any, x: Seen) -> tuple[Seen, Origins]:
    results: Seen = {}
    origins: dict[str, str] = {}
    is_same = True
    for each in reversed(step.transformers.values()):  # the first one wins, as in River
        found, own = TRANSFORMERS[type(each)].trace(each, x)
        results.update(found)
        is_same = is_same and own is None
        origins.update({name: name for name in found} if own is None else own)
    return results, None if is_same else origins


def _steps(step: Any) -> Iterable[Any]:
    found: Iterable[Any] = step.steps.values()
    return found


def _branches(step: Any) -> Iterable[Any]:
    found: Iterable[Any] = step.transformers.values()
    return found


_SAME = _Known(_same)
_PIPELINE = _Known(_pipeline, _steps)

TRANSFORMERS: Mapping[type, _Known] = {
    linear.StandardScaler: _SAME,
    preprocessing.StandardScaler: _SAME,
    preprocessing.AdaptiveStandardScaler: _SAME,
    preprocessing.MinMaxScaler: _SAME,
    preprocessing.MaxAbsScaler: _SAME,
    preprocessing.RobustScaler: _SAME,
    preprocessing.Binarizer: _SAME,
    preprocessing.OrdinalEncoder: _SAME,
    preprocessing.StatImputer: _SAME,
    preprocessing.PreviousImputer: _SAME,
    preprocessing.OneHotEncoder: _Known(_encoded),
    compose.Select: _SAME,
    compose.SelectType: _SAME,
    compose.Discard: _SAME,
    compose.Renamer: _Known(_renamed),
    compose.Prefixer: _Known(_fixed),
    compose.Suffixer: _Known(_fixed),
    compose.Pipeline: _PIPELINE,
    linear.Pipeline: _PIPELINE,
    compose.TransformerUnion: _Known(_union, _branches),
}
"""What is known of each transformer: whose its results are, and the transformers inside it."""
